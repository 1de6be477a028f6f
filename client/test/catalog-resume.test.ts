import { setTimeout as after } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer, type WatchScript } from "./harness/mesh-server.ts";
import { failing, once, resuming } from "./harness/scripts.ts";

const closing = closingAfterEach();

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
