import { setTimeout as after } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { catalogOf, next } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer, type WatchScript } from "./harness/mesh-server.ts";

const closing = closingAfterEach();

/** Sends a snapshot and then ends as `end` does. */
function once(end: (signal: AbortSignal) => Promise<void>, at = token(1)): WatchScript {
  return async function* ({ signal }) {
    yield* snapshot([operator("alpha", 1), operator("beta", 1)], at);
    await end(signal);
  };
}

const failing =
  (...error: Parameters<typeof serviceError>) =>
  () =>
    Promise.reject(serviceError(...error));

/** Goes on from wherever, to revision `to`. */
function resuming(to: number): WatchScript {
  return async function* ({ signal, request }) {
    yield bookmark(request.startToken);
    yield upserts([operator("alpha", to)], token(to));
    await untilGone(signal);
  };
}

describe("a catalog resumes from its last token", () => {
  it.each<[string, () => Promise<void>]>([
    ["the stream's age limit", failing(Code.Unavailable, "STREAM_EXPIRED")],
    ["a shutdown", failing(Code.Unavailable, "SHUTTING_DOWN")],
    ["a slow reader's stream", failing(Code.ResourceExhausted, "WATCH_TOO_SLOW")],
    ["a catalog that is behind", failing(Code.Unavailable, "CATALOG_BEHIND", { retryMs: 20 })],
    ["a defect of the server", failing(Code.Internal, "BUG")],
    ["a stream that ends without a reason", () => Promise.resolve()],
  ])("after %s", async (_name, end) => {
    const server = closing(await startMeshServer({ watches: [once(end), resuming(2)] }));
    const catalog = closing(await catalogOf(server));
    await catalog.waitFor(token(2));
    expect(server.watches[1]?.request).toMatchObject({ startToken: token(1), initialSnapshot: false });
    expect(catalog.operator("alpha")?.connections["main"]?.weight).toBe(2);
    expect(catalog.operator("beta")).toBeDefined();
    expect(catalog.status.lastError).toBeUndefined();
  });

  it("after the server was killed and started again, readable all the time", async () => {
    const first = await startMeshServer({ watches: [once(untilGone)] });
    const catalog = closing(await catalogOf(first));
    await first.close();
    await expect.poll(() => catalog.status.lastError).toBeInstanceOf(Error);
    expect(catalog.status).toMatchObject({ connected: false, source: "live", token: token(1) });
    expect(catalog.operator("alpha")).toBeDefined();
    const port = Number(new URL(first.baseUrl).port);
    const second = closing(await startMeshServer({ watches: [resuming(2)], port }));
    await catalog.waitFor(token(2));
    expect(second.watches[0]?.request.startToken).toBe(token(1));
  });

  it("from the token of a bookmark", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          async function* () {
            yield* snapshot([operator("alpha")], token(1));
            yield bookmark(token(5));
            throw serviceError(Code.Unavailable, "STREAM_EXPIRED");
          },
          resuming(6),
        ],
      }),
    );
    closing(await catalogOf(server));
    await expect.poll(() => server.watches[1]?.request.startToken).toBe(token(5));
  });

  it("not before the snapshot was complete", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          async function* () {
            yield upserts([operator("lost")]);
            throw serviceError(Code.Unavailable, "SHUTTING_DOWN");
          },
          once(untilGone),
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    expect(server.watches[1]?.request).toMatchObject({ startToken: "", initialSnapshot: true });
    expect(catalog.operator("lost")).toBeUndefined();
  });

  it("when three bookmarks are missed, on a connection that is open but silent", async () => {
    const silent: WatchScript = async function* ({ signal }) {
      yield* snapshot([operator("alpha")], token(1));
      await untilGone(signal);
    };
    const server = closing(await startMeshServer({ watches: [silent, resuming(2)] }));
    const log: unknown[] = [];
    const note = (fields: object): void => void log.push(fields);
    const logger = { info: note, warn: note, error: note };
    const catalog = closing(await catalogOf(server, { bookmarkIntervalMs: 60, logger }));
    await catalog.waitFor(token(2));
    expect(log[0]).toMatchObject({ err: { reason: "SILENT" }, token: token(1) });
    expect(server.watches[0]?.signal.aborted).toBe(true);
    expect(server.watches[1]?.request.startToken).toBe(token(1));
  });

  it("when a stream opens and says nothing at all", async () => {
    // eslint-disable-next-line require-yield -- that is the point
    const mute: WatchScript = async function* ({ signal }) {
      await untilGone(signal);
    };
    const ended = once(failing(Code.Unavailable, "STREAM_EXPIRED"));
    const server = closing(await startMeshServer({ watches: [ended, mute, resuming(2)] }));
    const catalog = closing(await catalogOf(server, { bookmarkIntervalMs: 60 }));
    await catalog.waitFor(token(2));
    expect(server.watches).toHaveLength(3);
  });

  it("and stays connected while bookmarks come", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("alpha")], token(1));
            for (let at = 2; at < 12; at++) {
              await after(50);
              yield bookmark(token(at));
            }
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server, { bookmarkIntervalMs: 100 }));
    await catalog.waitFor(token(11));
    expect(server.watches).toHaveLength(1);
  });
});

describe("a catalog starts over", () => {
  it.each([
    ["REVISION_COMPACTED", Code.OutOfRange, token(9)],
    ["HISTORY_CHANGED", Code.OutOfRange, token(1, { history: 2 })],
    ["TOKEN_FOREIGN", Code.InvalidArgument, token(1, { store: 2 })],
  ])("after %s, with the old configuration readable until the new one is complete", async (reason, code, at) => {
    const complete = Promise.withResolvers<void>();
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.Unavailable, "SHUTTING_DOWN")),
          // eslint-disable-next-line require-yield -- the first thing this watch says is its end
          async function* () {
            throw serviceError(code, reason);
          },
          async function* ({ signal }) {
            yield upserts([operator("alpha", 2)]);
            yield upserts([operator("gamma", 1)]);
            await complete.promise;
            yield bookmark(at, { complete: true });
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    const [changes, resync] = [catalog.changes(), next(catalog, "resync")];
    await expect.poll(() => server.watches.length).toBe(3);
    expect(server.watches[2]?.request).toMatchObject({ initialSnapshot: true, startToken: "" });
    expect(catalog.connections().map((each) => [each.operatorId, each.connection.weight])).toEqual([
      ["alpha", 1],
      ["beta", 1],
    ]);
    complete.resolve();
    expect(await resync).toEqual({ token: at, reason });
    expect(catalog.connections().map((each) => [each.operatorId, each.connection.weight])).toEqual([
      ["alpha", 2],
      ["gamma", 1],
    ]);
    const { value } = await changes.next();
    expect(value).toMatchObject({ token: at, resync: true });
    expect(value?.events.map(({ ref, kind }) => [ref.operatorId, ref.connectionId, kind])).toEqual([
      ["alpha", "main", "changed"],
      ["beta", undefined, "removed"],
      ["beta", "main", "removed"],
      ["gamma", undefined, "added"],
      ["gamma", "main", "added"],
    ]);
  });

  it("but not with a snapshot older than what it has, from a replica that is behind", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.OutOfRange, "REVISION_COMPACTED"), token(5)),
          once(untilGone, token(4)),
          resuming(6),
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    await expect.poll(() => server.watches.length, { timeout: 5_000 }).toBe(3);
    expect(server.watches[1]?.request.initialSnapshot).toBe(true);
    expect(server.watches[2]?.request).toMatchObject({ startToken: token(5), initialSnapshot: false });
    await catalog.waitFor(token(6));
  });

  it("in the history that is left, even when it is shorter", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.OutOfRange, "HISTORY_CHANGED"), token(5)),
          once(untilGone, token(3, { history: 2 })),
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    await expect.poll(() => catalog.status.token).toBe(token(3, { history: 2 }));
  });
});

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
