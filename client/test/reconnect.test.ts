import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { CatalogError } from "../src/catalog-error.ts";
import { delayMs, stepAfter } from "../src/reconnect.ts";
import { serviceError } from "./harness/mesh-server.ts";

describe("after a stream ended", () => {
  it.each([
    [serviceError(Code.OutOfRange, "HISTORY_CHANGED"), { when: "at once", resync: "HISTORY_CHANGED" }],
    [serviceError(Code.OutOfRange, "REVISION_COMPACTED"), { when: "at once", resync: "REVISION_COMPACTED" }],
    [serviceError(Code.InvalidArgument, "TOKEN_FOREIGN"), { when: "at once", resync: "TOKEN_FOREIGN" }],
    [
      serviceError(Code.InvalidArgument, "FIELD_INVALID", { field: "start_token" }),
      { when: "at once", resync: "TOKEN_REFUSED" },
    ],
    [serviceError(Code.InvalidArgument, "FIELD_INVALID", { field: "filter" }), { when: "slowly", permanent: true }],
    [serviceError(Code.InvalidArgument, "FILTER_INVALID"), { when: "slowly", permanent: true }],
    [serviceError(Code.Unauthenticated, "IDENTITY_MISSING"), { when: "slowly", permanent: true }],
    [serviceError(Code.PermissionDenied, "NAMESPACE_DENIED"), { when: "slowly", permanent: true }],
    [new ConnectError("RBAC: access denied", Code.PermissionDenied), { when: "slowly", permanent: true }],
    [new ConnectError("not found", Code.Unimplemented), { when: "slowly", permanent: true }],
    [serviceError(Code.ResourceExhausted, "TOO_MANY_STREAMS"), { when: "slowly", permanent: false }],
    [serviceError(Code.Unavailable, "STREAM_EXPIRED"), { when: "at once", permanent: false }],
    [serviceError(Code.Unavailable, "SHUTTING_DOWN"), { when: "at once", permanent: false }],
    [serviceError(Code.ResourceExhausted, "WATCH_TOO_SLOW"), { when: "at once", permanent: false }],
    [serviceError(Code.Unavailable, "CATALOG_NOT_LOADED", { retryMs: 700 }), { when: "soon", atLeastMs: 700 }],
    [serviceError(Code.Internal, "BUG"), { when: "soon", permanent: false }],
    [new ConnectError("reset", Code.Internal), { when: "soon", permanent: false }],
    [new ConnectError("cancelled by the proxy", Code.Canceled), { when: "soon", permanent: false }],
    [new ConnectError("refused", Code.Unavailable), { when: "soon", permanent: false }],
    [new CatalogError("SILENT", "silent"), { when: "soon", permanent: false }],
    [new CatalogError("STREAM_ENDED", "ended"), { when: "soon", permanent: false }],
  ])("%s", (error, step) => {
    expect(stepAfter(error, true)).toMatchObject(step);
  });

  it("a server that ends streams before they begin is not asked at once", () => {
    expect(stepAfter(serviceError(Code.Unavailable, "SHUTTING_DOWN"), false)).toMatchObject({ when: "soon" });
  });
});

describe("the delay", () => {
  const step = { permanent: false, atLeastMs: 0 } as const;
  const longest = (when: "at once" | "soon" | "slowly", failures: number): number =>
    Math.max(...Array.from({ length: 2_000 }, () => delayMs({ ...step, when }, failures)));

  it("is spread from nothing up to 100 ms at first, and to 5 s at last", () => {
    expect(longest("soon", 0)).toBeLessThanOrEqual(100);
    expect(longest("soon", 3)).toBeLessThanOrEqual(800);
    expect(longest("soon", 3)).toBeGreaterThan(500);
    expect(longest("soon", 60)).toBeLessThanOrEqual(5_000);
    expect(longest("soon", 60)).toBeGreaterThan(4_500);
  });

  it("is none the first time where resuming at once helps", () => {
    expect(longest("at once", 0)).toBe(0);
    expect(longest("at once", 2)).toBeGreaterThan(100);
  });

  it("is long after a refusal, and never shorter than the server asks", () => {
    expect(delayMs({ ...step, when: "slowly" }, 0)).toBeGreaterThanOrEqual(15_000);
    expect(delayMs({ ...step, when: "at once", atLeastMs: 700 }, 0)).toBe(700);
  });
});
