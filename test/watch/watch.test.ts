// Longer than 250 lines because snapshot, resume and filter are tested on one followed store.
import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { sql } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { loadCatalog } from "../../src/catalog/load.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { until } from "../catalog/support/until.ts";
import { RecordedWatch, told, watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();

function token(position: Position, filter = ""): string {
  return encodeToken(position, parseFilter(filter).hash);
}

async function reasonFor(read: Promise<unknown>): Promise<ErrorReason | undefined> {
  return read.then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}

function labelled(env: string): { labels: { env: string } } {
  return { labels: { env } };
}

describe("a watch resumes", () => {
  test("from any revision in the ring with exactly what came after it", async () => {
    const { store } = followed;
    const positions = [await store.head()];
    for (const id of ["a", "b", "a", "c"]) positions.push(await store.commit({ put: id }));
    positions.push(await store.commit({ delete: "b" }, { put: "d" }));
    const expected = ["+a", "+b", "+a", "+c", "-b DELETED", "+d"];
    const ends = [0, 1, 2, 3, 4, 6];
    const sources = watchSources((await followed.follow()).catalog);
    for (const [index, position] of positions.entries()) {
      const watch = new RecordedWatch(sources, { startToken: token(position) });
      expect(await watch.next()).toMatchObject({ kind: "bookmark", token: token(position), initialComplete: false });
      const last = positions.at(-1) ?? position;
      const frames = position === last ? [] : await watch.through(token(last));
      expect(told(frames)).toEqual(expected.slice(ends[index]));
      expect(frames.map((frame) => frame.token)).toEqual(positions.slice(index + 1).map((each) => token(each)));
      await watch.close();
    }
  });

  test("after a restart too, although the database keeps only the head's fingerprint", async () => {
    const { store } = followed;
    for (const id of ["a", "b", "c", "d"]) await store.commit({ put: id });
    const third = await store.head();
    await store.commit({ put: "e" });
    const { catalog } = await followed.follow({ bytes: 1e6, revisions: 3 });
    expect(catalog.ring.floor).toBe(2n);
    expect(catalog.ring.positionOf(3n)).toBeUndefined();
    const watch = new RecordedWatch(watchSources(catalog), { startToken: token(third) });
    await watch.next();
    expect(told([await watch.next()])).toEqual(["+e"]);
    await watch.close();
  });

  test("through a reload of the catalog, as long as its position is still in the history", async () => {
    const { store } = followed;
    await store.commit({ put: "a" });
    const { catalog, tail } = await followed.follow();
    const watch = new RecordedWatch(watchSources(catalog));
    await watch.next();
    await store.commit({ put: "b" });
    await tail.refresh();
    expect(told([await watch.next()])).toEqual(["+b"]);
    await store.commit({ put: "c" });
    catalog.replace(await loadCatalog(store.database.db, (id) => catalog.get(id)));
    expect(told([await watch.next()])).toEqual(["+c"]);
    await watch.close();
  });
});

describe("a filter", () => {
  test("lets operators enter, change within, leave and be deleted", async () => {
    const { store } = followed;
    await store.commit({ put: "in", with: labelled("prod") }, { put: "out", with: labelled("test") });
    const start = await store.head();
    const { catalog, tail } = await followed.follow();
    const filter = "labels.env = prod";
    const watch = new RecordedWatch(watchSources(catalog), { filter, startToken: token(start, filter) });
    await watch.next();
    await store.commit({ put: "out", with: labelled("prod") });
    await store.commit({ put: "in", with: labelled("prod") });
    await store.commit({ put: "in", with: labelled("test") });
    await store.commit({ put: "in", with: labelled("dev") });
    await store.commit({ delete: "in" });
    await store.commit({ delete: "out" });
    await store.commit({ undelete: "out" });
    await store.commit({ purge: "in" });
    const last = await store.commit({ put: "in", with: labelled("prod") });
    await tail.refresh();
    expect(told(await watch.through(token(last, filter)))).toEqual([
      "+out",
      "+in",
      "-in LEFT_FILTER",
      "-out DELETED",
      "+out",
      "+in",
    ]);
    await watch.close();
  });

  test("knows after a restart what matched before", async () => {
    const { store } = followed;
    await store.commit({ put: "a", with: labelled("prod") }, { put: "b", with: labelled("prod") });
    await store.commit({ put: "c" });
    const start = await store.head();
    await store.commit({ put: "a", with: labelled("test") });
    const last = await store.commit({ delete: "b" });
    const filter = "labels.env = prod";
    const { catalog } = await followed.follow({ bytes: 1e6, revisions: 2 });
    const watch = new RecordedWatch(watchSources(catalog), { filter, startToken: token(start, filter) });
    expect(told(await watch.through(token(last, filter)))).toEqual(["-a LEFT_FILTER", "-b DELETED"]);
    await watch.close();
  });
});

describe("a snapshot", () => {
  test("is everything that matches, in parts, and its position comes with the bookmark at its end", async () => {
    const { store } = followed;
    const big = { notes: "x".repeat(4000), labels: { env: "prod" } };
    for (let part = 0; part < 3; part++) {
      await store.commit(...Array.from({ length: 80 }, (_, n) => ({ put: `op-${part}-${n}`, with: big })));
    }
    const head = await store.commit({ put: "other" });
    const { catalog } = await followed.follow();
    const filter = "labels.env = prod";
    const watch = new RecordedWatch(watchSources(catalog), { filter, initialSnapshot: true });
    const frames = await watch.through(token(head, filter));
    expect(frames.at(-1)).toMatchObject({ kind: "bookmark", initialComplete: true });
    expect(frames.slice(0, -1).map((frame) => frame.token)).toEqual(["", ""]);
    const ids = catalog.snapshot().map((entry) => `+${entry.id}`);
    expect(told(frames)).toEqual(ids.filter((id) => id !== "+other"));
    await watch.close();
  });

  test("of nothing is the bookmark alone", async () => {
    const { catalog } = await followed.follow();
    const watch = new RecordedWatch(watchSources(catalog), { initialSnapshot: true });
    expect(await watch.next()).toMatchObject({ kind: "bookmark", initialComplete: true });
    await watch.close();
  });

  test("together with what is changed while it streams is the state, with nothing twice and nothing missing", async () => {
    const { store } = followed;
    const big = { notes: "x".repeat(4000) };
    const ids = Array.from({ length: 300 }, (_, n) => `op-${n}`);
    await store.commit(...ids.map((put) => ({ put, with: big })));
    const before = await store.head();
    const { catalog, tail } = await followed.follow();
    const watch = new RecordedWatch(watchSources(catalog), { initialSnapshot: true });
    const frames = [await watch.next()];
    await store.commit({ put: "op-0", with: { notes: "new" } }, { delete: "op-299" });
    const last = await store.commit({ put: "added" });
    await tail.refresh();
    frames.push(...(await watch.through(token(last))));
    const snapshot = frames.slice(
      0,
      frames.findIndex((frame) => frame.kind === "bookmark"),
    );
    expect(told(snapshot)).toHaveLength(300);
    expect(frames[snapshot.length]?.token).toBe(token(before));
    expect(told(frames.slice(snapshot.length))).toEqual(["+op-0", "-op-299 DELETED", "+added"]);
    await watch.close();
  });
});

describe("bookmarks", () => {
  test("come when nothing matches, at the position that was looked at", async () => {
    const { store } = followed;
    const { catalog, tail } = await followed.follow();
    const filter = "id = nobody";
    const watch = new RecordedWatch(watchSources(catalog), { filter, bookmarkMs: 50 });
    expect(await watch.next()).toMatchObject({ kind: "bookmark", token: token(await store.head(), filter) });
    const position = await store.commit({ put: "a" });
    await tail.refresh();
    const frames = await watch.through(token(position, filter));
    expect(frames.every((frame) => frame.kind === "bookmark")).toBe(true);
    await watch.close();
  });

  test("say since when the primary can't be reached", async () => {
    const { store } = followed;
    const { catalog } = await followed.follow();
    const watch = new RecordedWatch(watchSources(catalog), { bookmarkMs: 20 });
    expect(await watch.next()).toMatchObject({ staleSince: undefined });
    await store.database.db.execute(sql`alter table config_head rename to config_head_away`);
    await until(() => catalog.staleSince !== undefined);
    const frames = [await watch.next(), await watch.next()];
    await store.database.db.execute(sql`alter table config_head_away rename to config_head`);
    expect(frames.at(-1)).toMatchObject({ kind: "bookmark", staleSince: catalog.staleSince });
    await until(() => catalog.staleSince === undefined);
    await watch.close();
  });

  test("are what a purge looks like", async () => {
    const { store } = followed;
    await store.commit({ put: "a" });
    await store.commit({ delete: "a" });
    const { catalog, tail } = await followed.follow();
    const watch = new RecordedWatch(watchSources(catalog), { bookmarkMs: 20 });
    const position = await store.commit({ purge: "a" });
    await tail.refresh();
    expect(told(await watch.through(token(position)))).toEqual([]);
    await watch.close();
  });
});

test("watches with the same filter share the frame of a revision", async () => {
  const { store } = followed;
  const { catalog, tail } = await followed.follow();
  const sources = watchSources(catalog);
  const watches = ["kind = MNO", 'kind="MNO"', "kind = HUB"].map(
    (filter) => new RecordedWatch(sources, { filter, bookmarkMs: 20 }),
  );
  for (const watch of watches) await watch.next();
  await store.commit({ put: "a" });
  await tail.refresh();
  const [first, same] = [await watches[0]?.next(), await watches[1]?.next()];
  expect(first).toBe(same);
  expect(await watches[2]?.next()).toMatchObject({ kind: "bookmark" });
  for (const watch of watches) await watch.close();
});

describe("a watch ends", () => {
  test("WATCH_TOO_SLOW when its cursor falls off the ring", async () => {
    const { store } = followed;
    const { catalog, tail } = await followed.follow({ bytes: 1e6, revisions: 2 });
    const watch = new RecordedWatch(watchSources(catalog));
    await watch.next();
    for (const id of ["a", "b", "c"]) {
      await store.commit({ put: id });
      await tail.refresh();
    }
    expect(await reasonFor(watch.next())).toBe(ErrorReason.WATCH_TOO_SLOW);
  });

  test("but not when it is at the ring's edge", async () => {
    const { store } = followed;
    const { catalog, tail } = await followed.follow({ bytes: 1e6, revisions: 2 });
    const watch = new RecordedWatch(watchSources(catalog));
    await watch.next();
    for (const id of ["a", "b"]) {
      await store.commit({ put: id });
      await tail.refresh();
    }
    expect(told([await watch.next(), await watch.next()])).toEqual(["+a", "+b"]);
    await watch.close();
  });

  test("HISTORY_CHANGED when commits that it has seen are lost", async () => {
    const { store } = followed;
    await store.commit({ put: "a" });
    const before = await store.head();
    await store.commit({ put: "b" });
    const { catalog, tail } = await followed.follow();
    const [lost, kept] = [before, await store.head()].map(
      (position) => new RecordedWatch(watchSources(catalog), { startToken: token(position) }),
    );
    await lost?.next();
    await lost?.next();
    await kept?.next();
    const { db } = store.database;
    await db.execute(sql`delete from config_change where revision = 2`);
    await db.execute(sql`delete from operator where id = 'b'`);
    await db.execute(sql`update config_head set revision = 1, fingerprint = ${Buffer.from(before.fingerprint)}`);
    await tail.refresh();
    expect(await reasonFor(lost?.next() ?? Promise.resolve())).toBe(ErrorReason.HISTORY_CHANGED);
    expect(await reasonFor(kept?.next() ?? Promise.resolve())).toBe(ErrorReason.HISTORY_CHANGED);
    const resumed = new RecordedWatch(watchSources(catalog), { startToken: token(before) });
    expect(await resumed.next()).toMatchObject({ kind: "bookmark" });
    await resumed.close();
  });
});
