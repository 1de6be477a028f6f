import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import type { AcknowledgedWrite, Watcher } from "../history-checker/observation.ts";
import { randomOf, type Random } from "../history-checker/random.ts";
import { positionOf } from "../history-checker/record-watch.ts";
import { resumedElsewhere, validate } from "../history-checker/validate.ts";
import { startCatalogWatcher, startRawWatcher } from "../history-checker/watchers.ts";
import { untilAnswered, write } from "../history-checker/writers.ts";
import { adminOf, metricOf } from "./support-clients.ts";
import { servedBytes } from "./support-stored-bytes.ts";
import { readHistory, storedOperators } from "./support-truth.ts";

/** Enough that every kind of fault meets writers and watchers on every pod, and few enough for two cores. */
const PODS = 3;
const WRITERS = 16;
/** Writers go on by so many calls each until there were enough faults, so that no fault comes after the last write. */
const CALLS_PER_WRITER = 6;
const RAW_WATCHERS = 8;
const SDK_WATCHERS = 6;
const SHARED = ["shared-a", "shared-b", "shared-c", "shared-d"];
/** So many of each kind, in a random order: none is left to chance. */
const FAULTS_OF_EACH_KIND = 3;
/** The longest that a pod hears late from the primary, and that it is frozen. Writers wait less and go to another pod. */
const LONGEST_DELAY_MS = 5_000;
const LONGEST_FREEZE_MS = 4_000;

/**
 * Invariant: whatever a watcher saw, at whichever pods, over kills, freezes and pods that hear late from the database, is the history as the
 * database has it: Ordered, Unique, Atomic, Filter (enter, leave, delete), Resumable on another pod and never from the start,
 * Bookmarkable, Reliable, Authentic; no acknowledged write is lost (Durable), none is made twice; and what a pod has tailed to a position
 * is byte for byte what it loads there.
 */
describe("clients over three pods that are killed, frozen and hear late from the database", () => {
  it.each([1])("see one history (seed %i)", async (seed) => {
    await using cluster = await startCluster({ pods: PODS });
    const { pods } = cluster;
    const random = randomOf(seed);
    const admins = pods.map((pod) => adminOf(pod, cluster));
    const urls = pods.map((pod) => pod.service.url);
    for (const operatorId of SHARED) {
      await untilAnswered((requestId) => random.pick(admins).createOperator({ operatorId, requestId }));
    }
    const watchers = [
      ...indexes(RAW_WATCHERS).map((index) => startRawWatcher(`raw-${index}`, urls, randomOf(seed * 1_000 + index))),
      ...(await Promise.all(
        indexes(SDK_WATCHERS).map((index) => startCatalogWatcher(`sdk-${index}`, urls, randomOf(seed * 2_000 + index))),
      )),
    ];

    let isHurting = true;
    const faults = hurtPods(cluster, random).finally(() => (isHurting = false));
    const writers = indexes(WRITERS).map(async (index) => {
      const own = randomOf(seed * 3_000 + index);
      const acknowledged: AcknowledgedWrite[] = [];
      for (let round = 0; isHurting; round++) {
        const name = `w${index}-${round}`;
        acknowledged.push(...(await write(name, CALLS_PER_WRITER, own, SHARED, () => own.pick(admins))));
      }
      return acknowledged;
    });
    const [acknowledgements, inflicted] = await Promise.all([Promise.all(writers), faults]);
    const acknowledged = acknowledgements.flat();
    const last = Math.max(...acknowledged.map(({ position }) => position.revision));
    const seen = await Promise.all(watchers.map((watcher) => watcher.finishAt(last)));

    const { truth } = await readHistory(cluster.postgres);
    const messages = seen.flatMap(({ streams }) => streams.flatMap((stream) => stream.messages));
    const resumes = seen.reduce((sum, watcher) => sum + resumedElsewhere(watcher), 0);
    console.log(
      `seed ${seed}: ${acknowledged.length} acknowledged writes, ${truth.length} revisions, ${messages.length} messages checked, ` +
        `${resumes} resumes on another pod, faults: ${JSON.stringify(inflicted)}, cuts and stalls of readers: ` +
        String(watchers.reduce((sum, watcher) => sum + watcher.faults(), 0)),
    );
    expect(acknowledged.length).toBeGreaterThanOrEqual(WRITERS * CALLS_PER_WRITER);
    expect(validate(truth, seen, acknowledged)).toEqual([]);
    // One revision for each acknowledged write, however often it was sent and to whom: no more.
    expect(truth).toHaveLength(SHARED.length + acknowledged.length);
    expect(resumes).toBeGreaterThan(PODS);
    expect(kindsOf(seen)).toEqual(new Set(["enter or change", "leave", "delete", "bookmark", "snapshot"]));

    await expectLoadedLikeTailed(cluster);
  });
});

/** Hurts one pod after the other, in a random order of so many faults of each kind. Leaves all pods well. */
async function hurtPods({ pods }: Cluster, random: Random): Promise<Record<string, number>> {
  const kinds: Record<string, (pod: Pod) => Promise<void>> = {
    kill: async (pod) => {
      await pod.kill();
      await pod.restart();
    },
    freeze: async (pod) => {
      pod.pause();
      await delay(random.integer(200, LONGEST_FREEZE_MS));
      pod.resume();
    },
    delay: async (pod) => {
      await pod.links.primary.slow(random.integer(50, LONGEST_DELAY_MS));
      await delay(random.integer(500, LONGEST_DELAY_MS));
      await pod.links.primary.heal();
    },
  };
  const order = Object.keys(kinds).flatMap((kind) => indexes(FAULTS_OF_EACH_KIND).map(() => kind));
  while (order.length > 0) {
    const [kind = ""] = order.splice(random.integer(0, order.length), 1);
    await kinds[kind]?.(random.pick(pods));
    await delay(random.integer(50, 500));
  }
  return Object.fromEntries(Object.keys(kinds).map((kind) => [kind, FAULTS_OF_EACH_KIND]));
}

/** Each pod as it has followed the history, then the same pods after a start: the same bytes, those of the database, at the same position. */
async function expectLoadedLikeTailed(cluster: Cluster): Promise<void> {
  const { pods, postgres } = cluster;
  const stored = await storedOperators(postgres);
  const tailed = await Promise.all(pods.map((pod) => servedBytes(pod.service.url)));
  const loadsBefore = await Promise.all(pods.map((pod) => metricOf(pod, "ops_catalog_loads")));
  for (const pod of pods) await pod.restart();
  const loaded = await Promise.all(pods.map((pod) => servedBytes(pod.service.url)));
  console.log(`${stored.size} operators compared on ${pods.length} pods; loads before: ${loadsBefore.join(", ")}`);
  for (const served of [...tailed, ...loaded]) {
    expect(positionOf(served.token)).toEqual(positionOf(tailed[0]?.token ?? ""));
    expect(served.bytes).toEqual(stored);
  }
  for (const pod of pods) {
    const { valid, problems } = await adminOf(pod, cluster, 60_000).verifyHistory({});
    expect({ valid, problems }).toEqual({ valid: true, problems: [] });
  }
}

function kindsOf(watchers: readonly Watcher[]): Set<string> {
  const kinds = new Set<string>();
  for (const { start, messages } of watchers.flatMap(({ streams }) => streams)) {
    if (start === "snapshot") kinds.add("snapshot");
    for (const message of messages) {
      if (message.type === "bookmark") kinds.add("bookmark");
      else if (message.position !== undefined) {
        for (const event of message.events) {
          if (event.type === "upsert") kinds.add("enter or change");
          else kinds.add(event.cause === "DELETED" ? "delete" : "leave");
        }
      }
    }
  }
  return kinds;
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
