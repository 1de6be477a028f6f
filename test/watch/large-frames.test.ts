import { encodeToken, type Position } from "@operator-management/client";
import { expect, test } from "vitest";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { Budget } from "../../src/watch/budget.ts";
import type { WatchSources } from "../../src/watch/watcher.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { RecordedWatch, told, watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();

/** Larger than a stream's buffer. */
const large = { labels: { pad: "x".repeat(200_000) } };
const TOTAL_BYTES = 100_000;

/** Watches that may have one large frame on its way. */
function oneAtATime(catalog: Catalog): WatchSources {
  return { ...watchSources(catalog), inFlight: new Budget(TOTAL_BYTES) };
}

function token(position: Position): string {
  return encodeToken(position, parseFilter("").hash);
}

async function isAllFree({ inFlight }: WatchSources): Promise<void> {
  await inFlight.take(TOTAL_BYTES, new AbortController().signal);
}

test("a large change waits until another watch's reader has taken its own; bookmarks of where it stands come meanwhile", async () => {
  const { store } = followed;
  const start = await store.head();
  await store.commit({ put: "small" });
  const before = await store.commit({ put: "large", with: large });
  const last = await store.commit({ put: "large", with: large }, { put: "other" });
  const sources = oneAtATime((await followed.follow()).catalog);
  const first = new RecordedWatch(sources, { startToken: token(start) });
  const second = new RecordedWatch(sources, { startToken: token(start), bookmarkMs: 10 });
  for (const watch of [first, second]) {
    await watch.next();
    expect(told([await watch.next()])).toEqual(["+small"]);
  }
  expect(told([await first.next()])).toEqual(["+large"]);
  const meanwhile = await second.next();
  expect(meanwhile).toMatchObject({ kind: "bookmark", initialComplete: false });
  expect(meanwhile.token, "before the large change").not.toBe(token(before));

  const [ofFirst, ofSecond] = await Promise.all([
    first.through(token(last)).finally(() => first.close()),
    second.through(token(last)),
  ]);
  expect(told(ofFirst)).toEqual(["+large", "+other"]);
  expect(told(ofSecond)).toEqual(["+large", "+large", "+other"]);
  await second.close();
  await isAllFree(sources);
});

test("a small change passes by the large ones that wait", async () => {
  const { store } = followed;
  const start = await store.head();
  const large1 = await store.commit({ put: "large", with: large });
  const { catalog, tail } = await followed.follow();
  const sources = oneAtATime(catalog);
  const stuck = new RecordedWatch(sources, { startToken: token(start) });
  await stuck.next();
  expect(told([await stuck.next()])).toEqual(["+large"]);
  const prompt = new RecordedWatch(sources, { startToken: token(large1) });
  await prompt.next();
  await store.commit({ put: "small" });
  await tail.refresh();
  expect(told([await prompt.next()])).toEqual(["+small"]);
  await Promise.all([stuck.close(), prompt.close()]);
});

test("a watch that ends before its turn, or while its reader takes nothing, leaves the budget free", async () => {
  const { store } = followed;
  const start = await store.head();
  await store.commit({ put: "large", with: large });
  const sources = oneAtATime((await followed.follow()).catalog);
  const [stuck, waiting, left] = Array.from(
    { length: 3 },
    () => new RecordedWatch(sources, { startToken: token(start), bookmarkMs: 10 }),
  ) as [RecordedWatch, RecordedWatch, RecordedWatch];
  for (const watch of [stuck, waiting, left]) await watch.next();
  expect(told([await stuck.next()])).toEqual(["+large"]);
  expect(await waiting.next()).toMatchObject({ kind: "bookmark" });
  expect(await left.next()).toMatchObject({ kind: "bookmark" });
  const read = waiting.next();
  await waiting.close();
  await expect(read).rejects.toThrow("closed by the test");
  await left.leave();
  await stuck.close();
  await isAllFree(sources);
});

test("what was lost while a watch waited is not sent any more", async () => {
  const { store } = followed;
  const start = await store.head();
  await store.commit({ put: "large", with: large });
  const { catalog, tail } = await followed.follow();
  const sources = oneAtATime(catalog);
  const stuck = new RecordedWatch(sources, { startToken: token(start) });
  await stuck.next();
  await stuck.next();
  const waiting = new RecordedWatch(sources, { startToken: token(start), bookmarkMs: 10 });
  await waiting.next();
  expect(await waiting.next()).toMatchObject({ kind: "bookmark" });
  await store.loseHistory();
  await tail.refresh();
  await stuck.close();
  const other = await store.commit({ put: "other" });
  await tail.refresh();
  expect(told(await waiting.through(token(other)))).toEqual(["+other"]);
  await waiting.close();
});
