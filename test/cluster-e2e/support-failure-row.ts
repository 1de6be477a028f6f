import { expect } from "vitest";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { KINDS, type Activity, type Call, type Kind } from "./support-activity.ts";
import { adminOf } from "./support-clients.ts";
import { untilStored } from "./support-transitions.ts";
import { operatorOf, readHistory } from "./support-truth.ts";

/** How often every pod must have answered each kind of call under the fault. */
const ANSWERS_PER_POD = 4;

/** A fault, and what the design's failure table says still works. */
export interface FailureRow {
  readonly name: string;
  /** Holds before the fault. */
  readonly before?: (cluster: Cluster) => Promise<void>;
  /** Resolves when the fault is in force. */
  readonly hurt: (cluster: Cluster) => Promise<unknown> | void;
  readonly heal: (cluster: Cluster) => Promise<unknown> | void;
  /** How writes end under the fault; OK by default. Several: any of them. */
  readonly writes?: readonly string[];
  /** How writes of credentials end; as other writes by default. */
  readonly credentialWrites?: readonly string[];
  /** Whether reads must come to say that they may be old. */
  readonly stale?: boolean;
  /** How long it lasts at least, in milliseconds: where the pods notice it by silence only. */
  readonly lastsMs?: number;
  /** Whether health can't go on, and links age to UNKNOWN; else a link that is well stays UP, and one that flaps is seen to. */
  readonly healthAges?: boolean;
  /** Pods that can't be asked meanwhile. */
  readonly gone?: (cluster: Cluster) => readonly Pod[];
  /** More that holds under the fault. */
  readonly also?: (cluster: Cluster) => Promise<void>;
}

/**
 * Hurts, asks everything of every pod, heals, and asks until all is well; then nothing acknowledged is lost, nothing was made twice or by halves, and
 * every catalog of the SDK holds the truth without having listed again.
 */
export async function runFailureRow(cluster: Cluster, activity: Activity, row: FailureRow): Promise<void> {
  const gone = new Set(row.gone?.(cluster).map(({ name }) => name));
  const alive = cluster.pods.filter(({ name }) => !gone.has(name));
  const resyncsBefore = activity.resyncs.length;
  const acknowledgedBefore = activity.acknowledged.length;
  const expected = expectedOutcomes(row);
  await row.before?.(cluster);
  await row.hurt(cluster);
  const hurtAt = performance.now();
  let healing: number;
  try {
    await activity.answered(hurtAt, ANSWERS_PER_POD, alive);
    const { lastsMs = 0 } = row;
    await until(`it has lasted ${lastsMs} ms`, () => performance.now() >= hurtAt + lastsMs);
    await untilSomeSucceed(activity, { expected, alive, since: hurtAt });
    if (row.healthAges === true) await activity.health.aged(hurtAt, alive);
    else await activity.health.followed(hurtAt, alive);
    if (row.stale === true) await untilStale(activity, alive, hurtAt);
    await row.also?.(cluster);
  } finally {
    healing = performance.now();
    await row.heal(cluster);
  }
  const healedAt = performance.now();
  await activity.well(healedAt);
  await activity.health.followed(healedAt, cluster.pods);
  const transitions = await untilStored(activity.reporters.bus, cluster.postgres.primary);
  const revisions = await activity.converged();

  const after = activity.calls.filter(({ started, pod }) => started >= hurtAt && !gone.has(pod));
  // A server takes calls before its start is known to have succeeded.
  const under = after.filter(({ ended }) => ended <= healing);
  // What works under the fault works while it is healed too, and however long the answer takes.
  const whileHealed = after.filter(({ started }) => started <= healedAt);
  for (const kind of KINDS) {
    const writes = mustSucceed(expected[kind]) ? whileHealed : under;
    const judged = kind === "write" || kind === "credential write" ? writes : after;
    const unexpected = judged.filter((call) => call.kind === kind && !expected[kind].includes(call.outcome));
    expect.soft(unexpected, `${row.name}: ${kind}`).toEqual([]); // soft: the other columns are told too
  }
  expect(await activity.reporters.bus.deadLetters(), `${row.name}: dead letters`).toEqual([]);
  expect(activity.resyncs.slice(resyncsBefore), `${row.name}: catalogs that listed again`).toEqual([]);
  await expectNothingLost(cluster, activity, alive);
  const words = KINDS.map((kind) => `${kind} ${summary(under.filter((call) => call.kind === kind))}`).join(", ");
  const acknowledged = activity.acknowledged.length - acknowledgedBefore;
  console.log(
    `${row.name}: ${words}; in all ${acknowledged} writes acknowledged, 0 lost, ${revisions} revisions and ${transitions} transitions so far`,
  );
}

function expectedOutcomes(row: FailureRow): Record<Kind, readonly string[]> {
  const { writes = ["OK"], credentialWrites = writes, healthAges = false } = row;
  return {
    health: healthAges ? ["OK", "UNKNOWN"] : ["OK"],
    "mesh read": ["OK"],
    "admin read": ["OK"],
    "credential read": ["OK"],
    readiness: ["OK"],
    write: writes,
    "credential write": credentialWrites,
  };
}

function mustSucceed(outcomes: readonly string[]): boolean {
  return outcomes.every((outcome) => outcome === "OK");
}

/** Where calls may fail for a while, they must not fail for as long as the fault lasts. */
function untilSomeSucceed(
  activity: Activity,
  of: { readonly expected: Record<Kind, readonly string[]>; readonly alive: readonly Pod[]; readonly since: number },
): Promise<void> {
  const kinds = (["write", "credential write"] as const).filter(
    (kind) => of.expected[kind].includes("OK") && !mustSucceed(of.expected[kind]),
  );
  const names = new Set(of.alive.map(({ name }) => name));
  return until(
    "a call of each kind that fails for a while has succeeded",
    () =>
      kinds.every((kind) =>
        activity.calls.some(
          (call) => call.kind === kind && names.has(call.pod) && call.started >= of.since && call.outcome === "OK",
        ),
      ),
    60_000,
  );
}

/** Every answer says since when it may be old. */
function untilStale(activity: Activity, pods: readonly Pod[], since: number): Promise<void> {
  return until(
    "every pod says that what it reads may be old",
    () =>
      pods.every(({ name }) =>
        (["mesh read", "admin read"] as const).every(
          (kind) =>
            activity.calls.findLast((call) => call.kind === kind && call.pod === name && call.started >= since)?.stale,
        ),
      ),
    60_000,
  );
}

/** Acknowledged writes are in the history, each once and in order, and the history is whole. */
async function expectNothingLost(cluster: Cluster, activity: Activity, pods: readonly Pod[]): Promise<void> {
  const acknowledged = Map.groupBy(activity.acknowledged, ({ operatorId }) => operatorId);
  const { rows } = await readHistory(cluster.postgres);
  const names = new Map<string, string[]>();
  for (const row of rows) {
    const { displayName } = operatorOf(row);
    const sofar = names.get(row.operatorId) ?? [];
    if (sofar.at(-1) !== displayName) sofar.push(displayName);
    names.set(row.operatorId, sofar);
  }
  for (const [operatorId, made] of names) {
    if (!operatorId.startsWith("written-")) continue;
    const expected = (acknowledged.get(operatorId) ?? []).map(({ displayName }) => displayName);
    // What was made since may be on its way to its caller.
    const known = made.filter((name) => name !== "").slice(0, expected.length);
    expect(known, `names that ${operatorId} was given`).toEqual(expected);
  }
  const [pod] = pods;
  if (pod === undefined) throw new Error("no pod is left");
  const { valid, problems } = await adminOf(pod, cluster, 20_000).verifyHistory({});
  expect({ valid, problems }).toEqual({ valid: true, problems: [] });
}

function summary(calls: readonly Call[]): string {
  const counts = new Map<string, number>();
  for (const { outcome, stale } of calls) {
    const word = stale ? `${outcome} (stale)` : outcome;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).join(" ");
}
