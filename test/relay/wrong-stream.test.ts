import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { absenceEvent, subjectOf } from "../../src/relay/config-event.ts";
import { until } from "../cluster/until.ts";
import { QUICK, useRelayedStore } from "./support/relayed-store.ts";
import { lastMessages, stepsBack, story } from "./support/stream-and-store.ts";

const relayed = useRelayedStore();
const forever = new AbortController().signal;

test("a stream that was deleted is told everything anew", async () => {
  await relayed.store.commit({ put: "alpha" }, { put: "beta" });
  const { bus, relay } = await relayed.relay();
  await relayed.told();
  bus.exchange(relayed.exchangeStreams());
  await relayed.told();
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  expect(relay.resets).toBe(2);
  expect(stepsBack(bus.taken.slice(3))).toEqual([]);
});

const histories: [string, () => Promise<unknown>][] = [
  ["ends earlier", () => relayed.store.loseHistory().then(() => relayed.store.commit({ put: "alpha" }))],
  ["has another last revision", () => forkAt(3)],
  ["has grown beyond the stream's", () => forkAt(9)],
  ["has grown far beyond the stream's", () => forkAt(80)],
  ["is another store's", () => relayed.store.reset().then(() => forkAt(5))],
  ["is empty", () => relayed.store.loseHistory()],
];

test.each(histories)(
  "a history that %s is told anew, and what it doesn't know is said to be gone",
  async (_, change) => {
    const consumer = relayed.consumer();
    await relayed.store.commit({ put: "alpha" }, { put: "lost" });
    await relayed.store.commit({ put: "alpha" });
    await relayed.store.commit({ put: "alpha", with: { notes: "of the lost history" } });
    const first = await relayed.relay();
    await relayed.told();
    await relayed.heard(consumer);
    await first.relay.close();

    await change();
    const { bus, relay } = await relayed.relay();
    await relayed.told();
    await relayed.heard(consumer);
    expect(relay.resets).toBe(1);
    await until("the lost operator is said to be gone", () => story(bus.taken).at(-1) === "lost gone");
    expect(consumer.operators.has("lost")).toBe(false);
    expect(story(bus.taken)[0]).toBe("reset");
    expect(stepsBack(bus.taken)).toEqual([]);
    await relayed.store.commit({ put: "beta" });
    await relayed.told();
    await relayed.heard(consumer);
    expect(relay.resets).toBe(1);
  },
);

test("a history that forks while the relay is running is noticed, at any distance", async () => {
  const consumer = relayed.consumer();
  const { relay, bus } = await relayed.relay();
  for (const distance of [1, 2, 5]) {
    await relayed.store.commit({ put: "alpha" }, { put: "lost" });
    await relayed.told();
    const { resets } = relay;
    bus.down = true; // so that it doesn't see the way there
    await forkAt(Number((await relayed.store.head()).revision) + distance);
    bus.down = false;
    await relayed.told();
    await relayed.heard(consumer);
    expect(relay.resets).toBe(resets + 1);
  }
  expect(consumer.operators.has("lost")).toBe(false);
});

test("a message of somebody else at the stream's end makes everything be told anew", async () => {
  await relayed.store.commit({ put: "alpha" });
  const { relay } = await relayed.relay();
  await relayed.told();
  await relayed.streams.publish(subjectOf("alpha"), new Uint8Array([255]), { signal: forever });
  await relayed.told();
  expect(relay.resets).toBe(2);
});

test("what the stream says wrongly, or not at all, is found by comparing, and only that is told again", async () => {
  const ids = Array.from({ length: 30 }, (_, at) => `op-${at}`);
  await relayed.store.commit(...ids.map((put) => ({ put })));
  const first = await relayed.relay();
  await relayed.told();
  await first.relay.close();

  const before = await lastMessages(relayed.streams);
  const streams = relayed.exchangeStreams();
  const publish = (subject: string, data: Uint8Array, headers = {}): Promise<number> =>
    streams.publish(subject, data, { headers, signal: forever });
  const [reset, ...operators] = before;
  const [, wrong] = operators;
  await publish(reset!.subject, reset!.data, reset!.headers);
  await publish(subjectOf("nobody"), wrong!.data);
  for (const { subject, data, headers } of operators) {
    if (subject === subjectOf("op-7")) continue; // not at all
    if (subject === subjectOf("op-8")) await publish(subject, absenceEvent("op-8"), headers);
    else if (subject === subjectOf("op-9")) await publish(subject, wrong!.data, headers);
    else await publish(subject, data, headers);
  }
  const { bus, relay, log } = await relayed.relay({ times: { ...QUICK, reconcile: 100 } });
  await until("it has compared", () => relay.repairs === 4);
  expect(story(bus.taken).sort()).toEqual(["nobody gone", "op-7@1", "op-8@1", "op-9@1"]);
  await relayed.store.commit({ put: "op-1" });
  await relayed.told();
  await relayed.heard(relayed.consumer());
  expect(relay.resets).toBe(0);
  expect(log.filter(({ level }) => level >= 40)).toHaveLength(1);
  const { published } = relay;
  await until("it has compared again", () => bus.comparisons > 2);
  expect(relay.published).toBe(published);
});

test("a damaged history is told all the same, and not over and over", async () => {
  await relayed.store.commit({ put: "alpha" });
  await relayed.store.commit({ put: "beta" });
  const { db } = relayed.store.database;
  await db.execute(sql`update config_change set record = record || '\\x0800'::bytea where revision = 1`);
  const { relay } = await relayed.relay();
  await relayed.told();
  await relayed.store.commit({ put: "gamma" });
  await relayed.told();
  expect(relay.resets).toBe(1);
});

test("a former primary tells nothing once its successor has, and the log says what to do", async () => {
  await relayed.store.commit({ put: "alpha" });
  const first = await relayed.relay();
  await relayed.told();
  await first.relay.close();
  const last = (await lastMessages(relayed.streams)).at(-1)!;
  const [system] = last.headers["Ops-Origin"]!.split("/");
  const headers = { ...last.headers, "Ops-Origin": `${system}/2` };
  await relayed.streams.publish(last.subject, last.data, { headers, signal: forever });
  await relayed.store.commit({ put: "alpha", with: { notes: "lost" } });

  const { bus, log } = await relayed.relay();
  await until("it has tried a few times", () => bus.looks > 5);
  expect(bus.taken).toEqual([]);
  expect(log.filter(({ level }) => level >= 50).map(({ msg }) => msg)).toEqual([
    "nothing is relayed from here: this database must not be written to any more",
  ]);
});

/** Gives the store another history, of so many revisions. */
async function forkAt(revision: number): Promise<void> {
  await relayed.store.loseHistory();
  for (let at = 0; at < revision; at++) {
    await relayed.store.commit({ put: "alpha", with: { notes: `another ${at}` } });
  }
}
