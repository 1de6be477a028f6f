import { describe, expect, it } from "vitest";
import type { OperatorCatalog, Revision } from "../src/index.ts";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, removals, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { startMeshServer, type WatchScript } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
type Frame = ReturnType<typeof upserts>;

/** A catalog with the operator alpha at revision 1, and the way to send it more. */
async function fedCatalog(): Promise<{ catalog: OperatorCatalog; readonly send: (...frames: Frame[]) => void }> {
  const queue: Frame[] = [];
  let wake = (): void => {};
  const script: WatchScript = async function* ({ signal }) {
    yield* snapshot([operator("alpha", 1)], token(1));
    void untilGone(signal).then(() => wake());
    while (!signal.aborted) {
      yield* queue.splice(0);
      if (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const server = closing(await startMeshServer({ watches: [script] }));
  const catalog = closing(await catalogOf(server));
  const send = (...frames: Frame[]): void => {
    queue.push(...frames);
    wake();
  };
  return { catalog, send };
}

const weights = (revision: Revision | undefined) =>
  revision?.events.map(({ ref, kind, connection }) => [ref.operatorId, kind, connection?.weight]);

describe("changes()", () => {
  it("loses nothing between the call and the first read", async () => {
    const { catalog, send } = await fedCatalog();
    const changes = catalog.changes();
    send(upserts([operator("alpha", 2)], token(2)), upserts([operator("alpha", 3)], token(3)));
    await catalog.waitFor(token(3));
    expect((await changes.next()).value?.token).toBe(token(2));
    expect((await changes.next()).value?.token).toBe(token(3));
  });

  it("goes on from a token that the catalog had, a bookmark's too", async () => {
    const { catalog, send } = await fedCatalog();
    const start = catalog.status.token;
    send(upserts([operator("alpha", 2)], token(2)), bookmark(token(3)), upserts([operator("alpha", 4)], token(4)));
    await catalog.waitFor(token(4));
    const tokens = async (from: string, count: number): Promise<unknown[]> => {
      const changes = catalog.changes({ from });
      const seen: unknown[] = [];
      while (seen.length < count) seen.push((await changes.next()).value?.token);
      return seen;
    };
    expect(await tokens(start, 2)).toEqual([token(2), token(4)]);
    expect(await tokens(token(2), 1)).toEqual([token(4)]);
    expect(await tokens(token(3), 1)).toEqual([token(4)]);
    // A write's token names the position without a filter.
    expect(await tokens(token(2, { filter: false }), 1)).toEqual([token(4)]);

    const latest = catalog.changes({ from: token(4) }).next();
    send(upserts([operator("alpha", 5)], token(5)));
    expect((await latest).value?.token).toBe(token(5));
  });

  it("starts over with everything when the token is not known any more", async () => {
    const { catalog } = await fedCatalog();
    const revision = (await catalog.changes({ from: token(99) }).next()).value;
    expect(revision).toMatchObject({ token: token(1), resync: true });
    expect(weights(revision)).toEqual([
      ["alpha", "added", undefined],
      ["alpha", "added", 1],
    ]);
    expect(() => catalog.changes({ from: "no token" })).toThrow(expect.objectContaining({ reason: "TOKEN_INVALID" }));
  });

  it("merges what a reader missed that fell behind, and then goes on revision by revision", async () => {
    const { catalog, send } = await fedCatalog();
    const [slow, fast] = [catalog.changes(), catalog.changes()];
    let read = 0;
    const reading = (async () => {
      for await (const revision of fast) {
        expect(revision.resync).toBe(false);
        read += 1;
        if (revision.token === token(203)) return;
      }
    })();
    for (let at = 2; at <= 200; at++) send(upserts([operator("alpha", at)], token(at)));
    send(upserts([operator("brief", 1)], token(201)), removals(["brief"], token(202)));
    send(upserts([operator("late", 7)], token(203)));
    await reading;
    expect(read).toBe(202);

    const merged = (await slow.next()).value;
    expect(merged).toMatchObject({ token: token(203), resync: true });
    expect(weights(merged)).toEqual([
      ["alpha", "changed", 200],
      ["late", "added", undefined],
      ["late", "added", 7],
    ]);
    send(upserts([operator("alpha", 3)], token(204)));
    expect((await slow.next()).value).toMatchObject({ token: token(204), resync: false });
  });

  it("ends when the signal aborts or the reader leaves", async () => {
    const { catalog, send } = await fedCatalog();
    const controller = new AbortController();
    const aborted = catalog.changes({ signal: controller.signal });
    const reading = aborted.next();
    controller.abort();
    expect(await reading).toEqual({ done: true, value: undefined });
    expect(await catalog.changes({ signal: controller.signal }).next()).toEqual({ done: true, value: undefined });

    const left = catalog.changes();
    send(upserts([operator("alpha", 2)], token(2)));
    for await (const revision of left) if (revision.token === token(2)) break;
    expect(await left.next()).toEqual({ done: true, value: undefined });
  });
});

describe("listeners", () => {
  it("get every change, until they are taken off", async () => {
    const { catalog, send } = await fedCatalog();
    const seen: string[] = [];
    const off = catalog.on("change", (revision) => seen.push(revision.token));
    send(upserts([operator("alpha", 2)], token(2)));
    await catalog.waitFor(token(2));
    await expect.poll(() => seen).toEqual([token(2)]);
    off();
    send(upserts([operator("alpha", 3)], token(3)));
    await catalog.waitFor(token(3));
    expect(seen).toEqual([token(2)]);
  });

  it("may throw without harm to the catalog or to other listeners", async () => {
    const { catalog, send } = await fedCatalog();
    const [seen, errors]: [string[], Error[]] = [[], []];
    const cause = new Error("broken listener");
    catalog.on("change", () => {
      throw cause;
    });
    catalog.on("change", (revision) => seen.push(revision.token));
    catalog.on("error", (error) => {
      errors.push(error);
      throw new Error("broken too");
    });
    send(upserts([operator("alpha", 2)], token(2)), upserts([operator("alpha", 3)], token(3)));
    await catalog.waitFor(token(3));
    await expect.poll(() => seen).toEqual([token(2), token(3)]);
    expect(errors).toMatchObject([
      { reason: "LISTENER", cause },
      { reason: "LISTENER", cause },
    ]);
    expect(catalog.status.connected).toBe(true);
  });
});

describe("waitFor()", () => {
  it("resolves at once for a position that is passed, and later for one to come", async () => {
    const { catalog, send } = await fedCatalog();
    await catalog.waitFor(token(1));
    await catalog.waitFor(token(0, { history: 9, filter: false }));
    const waiting = catalog.waitFor(token(3, { filter: false }));
    send(upserts([operator("alpha", 2)], token(2)), bookmark(token(3)));
    await waiting;
    expect(catalog.status.token).toBe(token(3));
  });

  it("resolves after the configuration holds the change", async () => {
    const { catalog, send } = await fedCatalog();
    const weight = catalog.waitFor(token(2)).then(() => catalog.connection("alpha/main")?.connection.weight);
    send(upserts([operator("alpha", 2)], token(2)));
    expect(await weight).toBe(2);
  });

  it("rejects when it takes too long, and for texts and tokens that can never be reached", async () => {
    const { catalog } = await fedCatalog();
    await expect(catalog.waitFor(token(2), { timeoutMs: 20 })).rejects.toMatchObject({ reason: "TIMEOUT" });
    await expect(catalog.waitFor(token(1, { store: 2 }))).rejects.toMatchObject({ reason: "TOKEN_FOREIGN" });
    await expect(catalog.waitFor("???")).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
    // Of a history that this catalog doesn't know: it may yet learn of it.
    const other = catalog.waitFor(token(1, { history: 2 }), { timeoutMs: 20 });
    await expect(other).rejects.toMatchObject({ reason: "TIMEOUT" });
  });
});
