import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, it } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { positionOf } from "../history-checker/record-watch.ts";
import { untilAnswered, type AdminClient } from "../history-checker/writers.ts";
import { adminOf, meshOf, metricOf } from "./support-clients.ts";
import { startHerd, type Herd, type WatcherKind } from "./support-herd.ts";
import { openBulkWriter } from "./support-many-operators.ts";
import { readHeadRevision } from "./support-truth.ts";

/**
 * The design's 5,000 operators. Its 1,000,000 coverage entries would be 200 each: to compose and load those takes a minute of two cores for
 * memory that `bench/catalog-memory.ts` measures better.
 */
const OPERATORS = 5_000;
const COVERAGE_EACH = 20;
/** Composing a revision takes its time while it holds the lock, which the database allows for 5 s. */
const OPERATORS_PER_REVISION = 250;
/** A thousand in all. The slow ones pause after every message; the black-holed ones take the first bytes and then nothing. */
const WATCHERS = { prompt: 930, snapshot: 10, slow: 40, "black-holed": 20 } as const;
const ALL = Object.values<number>(WATCHERS).reduce((sum, count) => sum + count);
const PODS = 3;
const MEMORY_LIMIT_MIB = 450;
/** Of the container: what a thousand copies of the largest change may not reach. */
const CONTAINER_MIB = 512;
/** What Node takes by itself in such a container; here it sees the machine's memory, and would put off collecting. */
const HEAP_OF_A_POD = "--max-old-space-size=256";
/** Between two changes while pods restart: each is a thousand messages for two cores to send and to read. */
const PACE_MS = 300;
const SMALL_CHANGES = 30;
/** Where readers are left behind; more black-holed ones than all others, so that it shows whether they are still there. */
const FEWER_WATCHERS = { prompt: 10, slow: 10, "black-holed": 40 } as const;
/** So many revisions of so many operators of so many bytes are more than the 16 MiB that a pod keeps of history. */
const LARGE = { revisions: 20, operators: 4, bytes: 240_000 };

/**
 * Invariant: a pod with 5,000 operators and 1,000 watchers, slow and black-holed ones among them, stays below 450 MiB resident at its peak while
 * operators change, and below its container's 512 MiB when one changes that is as large as it may be; every watcher that reads gets each
 * revision once and in order, the largest that the API can make too, each as one message; and when all pods are restarted one by one under
 * load, each goes on at another pod with its token: nobody lists again. Who reads so slowly, or not at all, that its place in history is
 * forgotten, is cut off; the others miss no revision for it.
 */
describe("a thousand watchers", () => {
  it("stay within the memory of a pod, and follow a rolling restart without listing again", async () => {
    await using cluster = await startCluster({ pods: 0, nats: 1, env: { NODE_OPTIONS: HEAP_OF_A_POD } });
    {
      await using bulk = openBulkWriter(cluster.postgres);
      await bulk.create(OPERATORS, OPERATORS_PER_REVISION, COVERAGE_EACH);
    }
    const pod = await cluster.startPod();
    for (let more = 1; more < PODS; more++) await cluster.startPod();
    const admins = cluster.pods.map((each) => adminOf(each, cluster, 10_000));
    let turn = 0;
    const admin = (): AdminClient => admins[turn++ % admins.length] as AdminClient;
    await untilAnswered((requestId) => admin().createOperator({ operatorId: "acme", requestId }));
    await fillOnePod(pod, admin);
    await restartOneByOne(cluster, admin);
  });

  it("don't keep the streams of those who read too slowly, or not at all", async () => {
    await using cluster = await startCluster({ pods: 1, nats: 1, env: { NODE_OPTIONS: HEAP_OF_A_POD } });
    const [pod] = cluster.pods;
    if (pod === undefined) throw new Error("no pod");
    await using bulk = openBulkWriter(cluster.postgres);
    await bulk.create(LARGE.operators, LARGE.operators, 2);
    await using herd = startHerd();
    addAll(herd, [pod.service.url], await startingPoint(pod), FEWER_WATCHERS);
    const { prompt, slow, "black-holed": blackHoled } = FEWER_WATCHERS;
    await herd.until("all are open", ({ open }) => open === prompt + slow + blackHoled);
    for (let revision = 0; revision < LARGE.revisions; revision++) {
      await bulk.rename(LARGE.operators, String(revision).padEnd(LARGE.bytes, "x"));
      const head = await readHeadRevision(cluster.postgres);
      await herd.until("the prompt have heard of it", ({ slowest }) => slowest >= head);
    }
    await until("the others are ended as too slow", async () => {
      return (await metricOf(pod, 'ops_watches_ended{reason="WATCH_TOO_SLOW"}')) >= slow + blackHoled;
    });
    // The slow come again; the streams of the black-holed, who can't be told anything, are gone too.
    await until("the black-holed are cut off", async () => {
      return (await metricOf(pod, "ops_rpc_open_calls")) <= prompt + slow;
    });
    const { messages, problems, listsAgain } = await herd.report();
    const peak = await peakMiB(pod);
    console.log(
      `${LARGE.revisions} revisions of ${LARGE.operators} × ${LARGE.bytes} bytes: ${slow} slow and ${blackHoled} black-holed watchers cut off, ` +
        `peak ${peak} MiB, ${messages} messages`,
    );
    expect(problems).toEqual([]);
    expect(listsAgain).toBe(0);
  });
});

/** All watchers at one pod. */
async function fillOnePod(pod: Pod, admin: () => AdminClient): Promise<void> {
  await using herd = startHerd();
  const start = await startingPoint(pod);
  const peaks: Record<string, number> = { loaded: await peakMiB(pod) };
  addAll(herd, [pod.service.url], start);
  await herd.until("all are open", ({ open }) => open === ALL);
  await herd.until("the snapshots are complete", ({ slowest }) => slowest >= start.revision);
  peaks["opened"] = await peakMiB(pod);
  const small = await change(admin, SMALL_CHANGES);
  await herd.until("they have heard of the small changes", ({ slowest }) => slowest >= small);
  peaks["small changes"] = await peakMiB(pod);
  const operator = largestOperator();
  const create = untilAnswered((requestId) => admin().createOperator({ operatorId: "huge", operator, requestId }));
  const large = await revisionOf(create);
  const seen = await herd.until("they have heard of the largest change", ({ slowest }) => slowest >= large);
  peaks["a large change"] = await peakMiB(pod);
  console.log(
    `${OPERATORS} operators, ${ALL} watchers at one pod, peaks in MiB: ${JSON.stringify(peaks)}; ` +
      `${seen.messages} messages, the largest of ${seen.largestMessage} bytes`,
  );
  expect(seen.problems).toEqual([]);
  expect(seen.resumes).toBe(0);
  expect(peaks["small changes"]).toBeLessThan(MEMORY_LIMIT_MIB);
  expect(peaks["a large change"]).toBeLessThan(CONTAINER_MIB);
}

/** All watchers over all pods, which are restarted while somebody writes. */
async function restartOneByOne({ pods }: Cluster, admin: () => AdminClient): Promise<void> {
  await using herd = startHerd();
  const [pod] = pods;
  if (pod === undefined) throw new Error("no pod");
  addAll(
    herd,
    pods.map((each) => each.service.url),
    await startingPoint(pod),
  );
  await herd.until("all are open", ({ open }) => open === ALL);
  let isRestarting = true;
  const writing = (async () => {
    let last = 0;
    for (; isRestarting; await delay(PACE_MS)) last = await change(admin, 1);
    return last;
  })();
  for (const each of pods) {
    await each.restart();
    await herd.until("all but the black-holed are there again", ({ open }) => open >= ALL - WATCHERS["black-holed"]);
  }
  isRestarting = false;
  const last = await writing;
  const seen = await herd.until("they have heard of everything", ({ slowest }) => slowest >= last);
  console.log(
    `${pods.length} pods restarted under load: ${seen.resumes} resumes, ${seen.listsAgain} lists again, ${seen.messages} messages`,
  );
  expect(seen.problems).toEqual([]);
  expect(seen.listsAgain).toBe(0);
  // Each pod had its share, and lost it.
  expect(seen.resumes).toBeGreaterThanOrEqual(WATCHERS.prompt);
}

function addAll(
  herd: Herd,
  urls: readonly string[],
  start: { token: string; revision: number },
  watchers: Partial<Record<WatcherKind, number>> = WATCHERS,
): void {
  for (const [kind, count] of Object.entries(watchers)) herd.watch(kind as WatcherKind, count, { urls, ...start });
}

async function startingPoint(pod: Pod): Promise<{ token: string; revision: number }> {
  const { token } = await meshOf(pod).listOperators({ pageSize: 1 });
  return { token, revision: positionOf(token).revision };
}

/** Changes one operator so many times, one after the other; the last revision. */
async function change(admin: () => AdminClient, times: number): Promise<number> {
  let revision = 0;
  for (let time = 0; time < times; time++) {
    const operator = { displayName: `change ${time} of ${Date.now()}` };
    const request = { operatorId: "acme", operator, updateMask: { paths: ["display_name"] } };
    revision = await revisionOf(untilAnswered((requestId) => admin().updateOperator({ ...request, requestId })));
  }
  return revision;
}

async function revisionOf(reply: Promise<{ token: string }>): Promise<number> {
  return positionOf((await reply).token).revision;
}

/** Just below the 256 KiB that an operator may have: the largest revision that the API can make. */
function largestOperator(): Operator {
  const connection = (side: number): MessageInitShape<typeof ConnectionSchema> => ({
    coverage: Array.from({ length: 2_000 }, (_, entry) => ({
      kind: { case: "prefix" as const, value: String(490_000_000_000 + side * 2_000 + entry) },
    })),
  });
  return create(OperatorSchema, {
    connections: Object.fromEntries(Array.from({ length: 7 }, (_, side) => [`c${side}`, connection(side)])),
  });
}

/** The highest resident size that a pod's process ever had. */
async function peakMiB(pod: Pod): Promise<number> {
  const status = await readFile(`/proc/${pod.service.process.pid}/status`, "utf8");
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error("no VmHWM: this test needs Linux");
  return Math.round(Number(kib) / 1_024);
}
