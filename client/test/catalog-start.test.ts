import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { createMeshClient } from "../src/node.ts";
import { OperatorCatalog } from "../src/index.ts";
import { catalogOf, next } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer, type WatchScript } from "./harness/mesh-server.ts";

const closing = closingAfterEach();

const complete: WatchScript = async function* ({ signal }) {
  yield* snapshot([operator("alpha")], token(1));
  await untilGone(signal);
};

const incomplete: WatchScript = async function* ({ signal }) {
  yield upserts([operator("alpha")]);
  await untilGone(signal);
};

/** A port that nothing listens on. */
async function closedPort(): Promise<string> {
  const server = await startMeshServer({});
  await server.close();
  return server.baseUrl;
}

describe("starting a catalog", () => {
  it("rejects when there is no server in time, with what went wrong as the cause", async () => {
    const client = createMeshClient({ baseUrl: await closedPort() });
    await expect(OperatorCatalog.start({ client, ready: { timeoutMs: 300 } })).rejects.toMatchObject({
      name: "CatalogError",
      reason: "NOT_READY",
      cause: { code: Code.Unavailable },
    });
  });

  it("rejects when the snapshot isn't complete in time, and leaves the watch", async () => {
    const server = closing(await startMeshServer({ watches: [incomplete] }));
    await expect(catalogOf(server, { ready: { timeoutMs: 200 } })).rejects.toMatchObject({ reason: "NOT_READY" });
    await expect.poll(() => server.watches[0]?.signal.aborted).toBe(true);
    expect(server.watches).toHaveLength(1);
  });

  it("rejects at once when the service refuses", async () => {
    // eslint-disable-next-line require-yield -- the first thing this watch says is its end
    const refusing: WatchScript = async function* () {
      throw serviceError(Code.InvalidArgument, "FILTER_INVALID");
    };
    const server = closing(await startMeshServer({ watches: [refusing] }));
    const ready = { timeoutMs: 60_000 };
    await expect(catalogOf(server, { ready })).rejects.toMatchObject({
      reason: "NOT_READY",
      cause: { code: Code.InvalidArgument },
    });
  });

  it("goes on without a server when told to, and becomes ready later", async () => {
    const baseUrl = await closedPort();
    const client = createMeshClient({ baseUrl });
    const catalog = closing(await OperatorCatalog.start({ client, ready: { timeoutMs: 50, otherwise: "continue" } }));
    expect(catalog.status).toMatchObject({ source: "none", connected: false, token: "" });
    expect(catalog.status.configAgeMs).toBeUndefined();
    expect(catalog.connections()).toEqual([]);
    const [ready, changes] = [next(catalog, "ready"), catalog.changes()];
    closing(await startMeshServer({ watches: [complete], port: Number(new URL(baseUrl).port) }));
    expect(await ready).toEqual({ token: token(1) });
    expect(await changes.next()).toMatchObject({
      value: { resync: false, events: [{ ref: { operatorId: "alpha" }, kind: "added" }, { kind: "added" }] },
    });
    expect(catalog.status.source).toBe("live");
  });

  it("ends with the caller's signal, before and after it is ready", async () => {
    const server = closing(await startMeshServer({ watches: [incomplete, complete] }));
    await expect(catalogOf(server, { signal: AbortSignal.abort() })).rejects.toMatchObject({ reason: "CLOSED" });
    expect(server.watches).toHaveLength(0);

    const early = new AbortController();
    const starting = catalogOf(server, { signal: early.signal });
    await expect.poll(() => server.watches.length).toBe(1);
    early.abort();
    await expect(starting).rejects.toMatchObject({ reason: "CLOSED" });

    const late = new AbortController();
    const catalog = closing(await catalogOf(server, { signal: late.signal }));
    late.abort();
    await expect.poll(() => server.watches[1]?.signal.aborted).toBe(true);
    expect(catalog.operator("alpha")).toBeDefined();
  });
});

describe("closing a catalog", () => {
  it("may be done twice, ends the watch and what waits, and leaves the configuration readable", async () => {
    const server = closing(await startMeshServer({ watches: [complete] }));
    const catalog = await catalogOf(server);
    const [reading, waiting] = [catalog.changes().next(), catalog.waitFor(token(2))];
    const ended = Promise.allSettled([reading, waiting]);
    await Promise.all([catalog.close(), catalog.close(), catalog[Symbol.asyncDispose]()]);
    expect(await ended).toMatchObject([
      { status: "rejected", reason: { reason: "CLOSED" } },
      { status: "rejected", reason: { reason: "CLOSED" } },
    ]);
    await expect(catalog.waitFor(token(1))).rejects.toMatchObject({ reason: "CLOSED" });
    await expect(catalog.changes().next()).rejects.toMatchObject({ reason: "CLOSED" });
    await expect.poll(() => server.watches[0]?.signal.aborted).toBe(true);
    expect(catalog.operator("alpha")).toBeDefined();
    expect(catalog.status.connected).toBe(false);
  });
});
