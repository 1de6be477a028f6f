import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { catalogOf, next } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, snapshot, token, untilGone } from "./harness/frames.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";
import { failing, once, resuming } from "./harness/scripts.ts";

const closing = closingAfterEach();

describe("a catalog that the service refuses", () => {
  it.each([
    ["UNAUTHENTICATED", Code.Unauthenticated, "IDENTITY_MISSING", undefined],
    ["PERMISSION_DENIED", Code.PermissionDenied, "NAMESPACE_DENIED", undefined],
    ["a wrong filter", Code.InvalidArgument, "FIELD_INVALID", "filter"],
    ["a filter it doesn't know", Code.InvalidArgument, "FILTER_INVALID", undefined],
  ])("reports %s, keeps what it has and doesn't hurry", async (_name, code, reason, field) => {
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.Unavailable, "STREAM_EXPIRED")),
          // eslint-disable-next-line require-yield -- the first thing this watch says is its end
          async function* () {
            throw serviceError(code, reason, field === undefined ? {} : { field });
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    expect(await next(catalog, "error")).toMatchObject({ code });
    expect(catalog.status.lastError).toMatchObject({ code });
    expect(catalog.operator("alpha")).toBeDefined();
    expect(server.watches).toHaveLength(2);
  });
});

describe("a catalog becomes stale", () => {
  it("when the server says so, and fresh when it no longer does", async () => {
    const since = new Date("2026-01-02T03:04:05Z");
    const [stale, fresh] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("alpha")], token(1));
            await stale.promise;
            yield bookmark(token(1), { staleSince: since });
            await fresh.promise;
            yield bookmark(token(1));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    expect(catalog.status.staleSince).toBeUndefined();
    const becameStale = next(catalog, "stale");
    stale.resolve();
    expect(await becameStale).toEqual({ since });
    expect(catalog.status.staleSince).toEqual(since);
    const becameFresh = next(catalog, "fresh");
    fresh.resolve();
    expect(await becameFresh).toEqual({ token: token(1) });
    expect(catalog.status.staleSince).toBeUndefined();
  });

  it("when nothing is heard for three bookmarks, and fresh at the next word", async () => {
    const server = await startMeshServer({ watches: [once(untilGone)] });
    const catalog = closing(await catalogOf(server, { bookmarkIntervalMs: 60 }));
    const becameStale = next(catalog, "stale");
    await server.close();
    const { since } = await becameStale;
    expect(catalog.status.staleSince).toEqual(since);
    expect(catalog.operator("alpha")).toBeDefined();
    const becameFresh = next(catalog, "fresh");
    closing(await startMeshServer({ watches: [resuming(2)], port: Number(new URL(server.baseUrl).port) }));
    await becameFresh;
    expect(catalog.status.connected).toBe(true);
  });
});
