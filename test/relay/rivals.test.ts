import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import type { HeldLock } from "../../src/db/db.ts";
import { until } from "../cluster/until.ts";
import type { Fault } from "./support/tapped-bus.ts";
import { lockedBySomebody, useRelayedStore } from "./support/relayed-store.ts";
import { stepsBack, story } from "./support/stream-and-store.ts";

const relayed = useRelayedStore();
const ids = Array.from({ length: 16 }, (_, at) => `op-${at}`);

test("two relays that both believe to lead, under 16 writers: in order, nothing lost, the consumer arrives", async () => {
  const consumer = relayed.consumer();
  const one = await relayed.relay();
  const two = await relayed.relay();
  // As far away as a real bus, so that they get into each other's way.
  for (const { bus } of [one, two]) bus.fault = () => setTimeout(Math.random() * 4, undefined);
  await Promise.all(
    ids.map(async (id, at) => {
      for (let round = 0; round < 8; round++) {
        await relayed.store.commit({ put: id, with: { notes: String(round) } }, { put: `shared-${(at + round) % 3}` });
        if (round === 5 && at % 4 === 0) await relayed.store.commit({ delete: id }, { put: `late-${at}` });
        if (round === 5 && at % 4 === 0) await relayed.store.commit({ undelete: id });
      }
    }),
  );
  await relayed.told();
  await relayed.heard(consumer);
  const taken = [...one.bus.taken, ...two.bus.taken];
  expect(stepsBack(taken)).toEqual([]);
  expect(new Set(taken.map(({ sequence }) => sequence)).size).toBe(taken.length);
  const overtaken = one.bus.overtaken + two.bus.overtaken;
  expect(overtaken).toBeGreaterThan(0);
  expect(consumer.stale).toBe(0);
  const { revision } = await relayed.store.head();
  console.log(
    `${revision} revisions, ${taken.length} messages (${one.bus.taken.length} and ${two.bus.taken.length}), ` +
      `overtaken ${overtaken} times`,
  );
});

test("one that was frozen just before it published does nothing when it wakes up, and then goes on with the others", async () => {
  const zombie = await relayed.relay();
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  const frozen = Promise.withResolvers<Fault>();
  let isFrozen = false;
  zombie.bus.fault = () => {
    isFrozen = true;
    return frozen.promise;
  };
  await relayed.store.commit({ put: "alpha", with: { notes: "old" } });
  await until("it is about to publish", () => isFrozen);

  const other = await relayed.relay();
  await relayed.store.commit({ put: "alpha", with: { notes: "new" } });
  await relayed.told();
  zombie.bus.fault = () => undefined;
  frozen.resolve(undefined);
  const { looks } = zombie.bus;
  await until("it has looked at the stream", () => zombie.bus.looks > looks);
  expect(story(other.bus.taken)).toEqual(["alpha@2", "alpha@3"]);
  expect(story(zombie.bus.taken)).toEqual(["reset", "alpha@1"]);

  await other.relay.close();
  await relayed.store.commit({ put: "beta" });
  await relayed.told();
  expect(story(zombie.bus.taken).at(-1)).toBe("beta@4");
});

test("without the lock nothing is published, as long as its holder does it", async () => {
  const leader = await relayed.relay();
  const standby = await relayed.relay({ database: lockedBySomebody(relayed.store.database) });
  for (let round = 0; round < 40; round++) {
    await relayed.store.commit({ put: "alpha" });
    await relayed.told();
  }
  expect(leader.relay.leads).toBe(true);
  expect(standby.relay.leads).toBe(false);
  expect(standby.bus.taken).toEqual([]);
});

test("without the lock it stands in when the stream is left behind, and steps back when its holder is there again", async () => {
  const leader = await relayed.relay();
  await until("the reset is told", () => leader.relay.published === 1);
  const frozen = Promise.withResolvers<Fault>();
  leader.bus.fault = () => frozen.promise;
  const standby = await relayed.relay({ database: lockedBySomebody(relayed.store.database) });
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  await relayed.store.commit({ put: "beta" });
  await relayed.told();
  expect(story(standby.bus.taken)).toEqual(["alpha@1", "beta@2"]);
  expect(standby.log.filter(({ level }) => level >= 40)).toHaveLength(1);

  leader.bus.fault = () => undefined;
  frozen.resolve("before");
  const before = standby.bus.looks;
  const told = leader.relay.published;
  for (let round = 0; leader.relay.published < told + 3; round++) {
    await relayed.store.commit({ put: "alpha", with: { notes: String(round) } });
    await relayed.told();
  }
  expect(standby.bus.looks).toBeGreaterThan(before);
  await until("the standby has stepped back", async () => {
    const { published } = standby.relay;
    await relayed.store.commit({ put: "alpha" });
    await relayed.told();
    return standby.relay.published === published;
  });
  expect(stepsBack([...leader.bus.taken, ...standby.bus.taken])).toEqual([]);
});

test("a lock that is lost is taken again, and by then nothing was told twice", async () => {
  let lost = new AbortController();
  let held = 0;
  const tryLock = (): Promise<HeldLock> => {
    held++;
    lost = new AbortController();
    return Promise.resolve({ lost: lost.signal, release: () => Promise.resolve() });
  };
  const { bus, relay } = await relayed.relay({ database: { ...relayed.store.database, tryLock } });
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  lost.abort();
  expect(relay.leads).toBe(false);
  await relayed.store.commit({ put: "beta" });
  await relayed.told();
  expect(held).toBe(2);
  expect(new Set(story(bus.taken)).size).toBe(bus.taken.length);
});
