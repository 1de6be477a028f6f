import { setTimeout } from "node:timers/promises";
import { nanos } from "nats";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { asAdmin, removeStreams } from "../backends/jetstream-buses.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated } from "../db/opened-database.ts";
import { startRelayPod } from "./support/relay-pod.ts";
import { startConsumer, told, writeStorm } from "./support/storm-and-consumer.ts";
import { stepsBack, story, streamState } from "./support/stream-and-store.ts";
import type { Fault } from "./support/tapped-bus.ts";

const STREAM = "OPS_CONFIG";

let nats: Nats;
let postgres: Postgres;
let databases = 0;
beforeAll(async () => {
  [nats, postgres] = await Promise.all([startNats(), startPostgres({ replica: false })]);
});
afterEach(() => removeStreams(nats));
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

async function newDatabase(): Promise<string> {
  const urls = await postgres.createDatabase(`relay_${databases++}`);
  await migrated(urls);
  return urls.serviceUrl;
}

test("a stolen lock, again and again, and a relay that ignores it, under 16 writers: in order, nothing lost", async () => {
  const url = await newDatabase();
  await using one = await startRelayPod({ nats, url });
  await using two = await startRelayPod({ nats, url });
  await using rude = await startRelayPod({ nats, url, ignoresLock: true });
  await using consumer = await startConsumer(nats, one.database.db);
  let writing = true;
  const thefts = (async () => {
    let count = 0;
    for (; writing; await setTimeout(100)) count += await stealLock();
    return count;
  })();
  const revisions = await writeStorm(one.store, 10).finally(() => (writing = false));
  await told(one.bus, one.database.db);
  await consumer.heard(one.database.db);

  const pods = [one, two, rude];
  const taken = pods.flatMap(({ bus }) => bus.taken);
  expect(stepsBack(taken)).toEqual([]);
  expect(new Set(taken.map(({ sequence }) => sequence)).size).toBe(taken.length);
  expect(consumer.of.stale).toBe(0);
  expect(consumer.of.resets).toBe(1);
  const stolen = await thefts;
  expect(stolen).toBeGreaterThan(0);
  expect(pods.reduce((sum, { bus }) => sum + bus.overtaken, 0)).toBeGreaterThan(0);
  console.log(
    `${revisions} revisions, ${taken.length} messages (${pods.map(({ bus }) => bus.taken.length).join(", ")}), ` +
      `lock stolen ${stolen} times, overtaken ${pods.map(({ bus }) => bus.overtaken).join(", ")} times`,
  );
});

test("a publisher frozen past the dedupe window does nothing when it thaws", async () => {
  const url = await newDatabase();
  await using zombie = await startRelayPod({ nats, url, ignoresLock: true });
  await using consumer = await startConsumer(nats, zombie.database.db);
  await zombie.store.commit({ put: "alpha" });
  await told(zombie.bus, zombie.database.db);
  const windowMs = 100;
  await asAdmin(nats, async (manager) => {
    await manager.streams.update(STREAM, { duplicate_window: nanos(windowMs) });
  });
  const thawed = Promise.withResolvers<Fault>();
  let frozen = false;
  zombie.bus.fault = () => {
    frozen = true;
    return thawed.promise;
  };
  await zombie.store.commit({ put: "alpha", with: { notes: "old" } });
  await until("it is about to publish", () => frozen);

  await using other = await startRelayPod({ nats, url });
  await other.store.commit({ put: "alpha", with: { notes: "new" } });
  await told(other.bus, other.database.db);
  await setTimeout(2 * windowMs);
  zombie.bus.fault = () => undefined;
  thawed.resolve(undefined);
  await until("it was refused", () => zombie.bus.overtaken > 0);
  await other.store.commit({ put: "beta" });
  await told(other.bus, other.database.db);
  await consumer.heard(other.database.db);
  const taken = [...zombie.bus.taken, ...other.bus.taken];
  expect(story(taken)).toEqual(["reset", "alpha@1", "alpha@2", "alpha@3", "beta@4"]);
  expect(consumer.of.stale).toBe(0);
  console.log(`${taken.length} messages, the zombie refused ${zombie.bus.overtaken} time(s)`);
});

test.each<[string, (manager: Manager) => Promise<unknown>]>([
  ["deleted", (manager) => manager.streams.delete(STREAM)],
  ["purged", (manager) => manager.streams.purge(STREAM)],
  ["robbed of its last message", robLast],
])("a stream that is %s under writers is filled again, and consumers arrive", async (_, harm) => {
  const url = await newDatabase();
  await using one = await startRelayPod({ nats, url });
  await using two = await startRelayPod({ nats, url, ignoresLock: true });
  await using consumer = await startConsumer(nats, one.database.db);
  let writing = true;
  const has = async (messages: number): Promise<boolean> => (await one.bus.lastSequence(STREAM, forever())) >= messages;
  const harms = (async () => {
    let count = 0;
    for (; writing; await setTimeout(400)) {
      await until("there is something to harm", async () => !writing || (await has(20)));
      if (writing) await asAdmin(nats, harm);
      count++;
    }
    return count;
  })();
  const revisions = await writeStorm(one.store, 6).finally(() => (writing = false));
  const count = (await harms) + 1;
  await until("there is something to harm once more", () => has(1)); // a stream that is gone can't be deleted
  await asAdmin(nats, harm);
  await told(one.bus, one.database.db);
  await consumer.heard(one.database.db);
  const resets = one.relay.resets + two.relay.resets;
  console.log(
    `${revisions} revisions, harmed ${count} times, ${one.bus.taken.length + two.bus.taken.length} messages, ` +
      `${resets} resets, ${one.relay.repairs + two.relay.repairs} repairs, ${consumer.of.resets} resets heard`,
  );
});

test("kill -9 of the stream's leader under writers costs time only", async () => {
  const url = await newDatabase();
  await using one = await startRelayPod({ nats, url });
  await using consumer = await startConsumer(nats, one.database.db);
  const writing = writeStorm(one.store, 6);
  await until("some is told", () => one.relay.published > 20);
  const leader = nats.nodes[await nats.leaderOf(STREAM)]!;
  await leader.server.kill();
  const revisions = await writing;
  await told(one.bus, one.database.db);
  await consumer.heard(one.database.db);
  expect(stepsBack(one.bus.taken)).toEqual([]);
  expect(one.relay.resets).toBe(1);
  await leader.server.start();
  await until("it is lag-free again", () => one.relay.lag === 0);
  console.log(`${revisions} revisions, ${one.relay.published} messages`);
});

test("a failover that loses commits is told anew; the former primary, back and writable, is not listened to", async () => {
  await using pair = await startPostgres({ replica: true });
  await migrated(pair);
  const before = await startRelayPod({ nats, url: pair.serviceUrl });
  await using consumer = await startConsumer(nats, before.database.db);
  await before.store.commit({ put: "alpha" }, { put: "beta" });
  await told(before.bus, before.database.db);
  await until("the standby has it", async () => {
    const [row] = await pair.replica!.query<{ revision: string }>("select revision from config_head");
    return row?.revision === "1";
  });
  await stopReplication(pair);
  for (let at = 0; at < 5; at++)
    await before.store.commit({ put: "alpha", with: { notes: "lost" } }, { put: `l-${at}` });
  await told(before.bus, before.database.db);
  await consumer.heard(before.database.db);
  await pair.primary.server.kill();
  await pair.promote();
  await before[Symbol.asyncDispose]();

  await using after = await startRelayPod({ nats, url: pair.replicaUrl });
  await told(after.bus, after.database.db);
  await consumer.heard(after.database.db);
  expect(Object.keys(await streamState(after.bus)).sort()).toEqual(["alpha", "beta"]);
  expect(after.relay.resets).toBe(1);

  await pair.primary.server.start();
  await using former = await startRelayPod({ nats, url: pair.serviceUrl, ignoresLock: true });
  await former.store.commit({ put: "alpha", with: { notes: "written to the former primary" } });
  await until("it refuses", () => former.log.some((line) => line.includes("must not be written to any more")));
  await after.store.commit({ put: "gamma" });
  await told(after.bus, after.database.db);
  await consumer.heard(after.database.db);
  expect(former.bus.taken).toEqual([]);
  expect(after.relay.resets).toBe(1);
  console.log(`${after.bus.taken.length} messages after the failover: ${story(after.bus.taken).join(" ")}`);
});

type Manager = Parameters<Parameters<typeof asAdmin>[1]>[0];

const forever = (): AbortSignal => new AbortController().signal;

/** Ends the sessions that hold an advisory lock; returns how many there were. */
async function stealLock(): Promise<number> {
  const rows = await postgres.primary.query(
    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'",
  );
  return rows.length;
}

/** From now on the standby gets nothing, not even what is on its way. */
async function stopReplication({ replica }: Postgres): Promise<void> {
  await replica!.query("alter system set primary_conninfo = ''");
  await replica!.query("select pg_reload_conf()");
  await until("the standby receives nothing", async () => {
    return (await replica!.query("select from pg_stat_wal_receiver")).length === 0;
  });
}

async function robLast(manager: Manager): Promise<void> {
  const { state } = await manager.streams.info(STREAM);
  await manager.streams.deleteMessage(STREAM, state.last_seq).catch(() => undefined); // already gone, or superseded
}
