import { setTimeout as delay } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { HealthReportSchema, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { randomOf, type Random } from "../history-checker/random.ts";
import { send, startConnectors, type Connectors, type Ways } from "./support-connectors.ts";
import { openHealthBus, storedTransitions, type HealthBus } from "./support-health-bus.ts";
import { enableLink, healthReport, type HealthLink, type Saying } from "./support-health-link.ts";
import { flush, openMirror } from "./support-mirror.ts";
import { expectSameHealth, healthAt, untilStates } from "./support-same-health.ts";
import { byLink, expectChained, untilStored } from "./support-transitions.ts";

const CHURNING = 6;
const NODES = 4;
/** Reports that are kept while each fault lasts. */
const REPORTS_PER_FAULT = 60;
const LONG_MS = 120_000;

/** How the churning links end up, each by the reports of its two nodes. */
const ENDS: readonly { readonly state: string; readonly says: readonly Omit<Saying, "node">[] }[] = [
  { state: "UP", says: [{ bind: "bound" }, { bind: "bound" }] },
  { state: "UP", says: [{ bind: "bound" }, { bind: "failed", leaving: true }] },
  { state: "DOWN", says: [{ bind: "failed" }, { bind: "failed" }] },
  { state: "AUTH_FAILED", says: [{ bind: "refused" }, { bind: "refused" }] },
  { state: "DEGRADED", says: [{ bind: "bound", errors: 50 }, { bind: "bound" }] },
  { state: "THROTTLED", says: [{ bind: "bound", throttledRate: 10 }, { bind: "bound" }] },
];

/**
 * Invariant (test 6 of the ten): whatever happens to reports on their way, to nodes, pods, Redis and NATS, all pods compute the same health and
 * record the same transitions, each once; and a link that is well is UP on every pod, all the time.
 */
describe("the health of links over three pods", () => {
  let cluster: Cluster;
  let bus: HealthBus;
  let churning: HealthLink[];
  let steady: HealthLink;
  let ways: Ways;
  const random = randomOf(20261122);

  beforeAll(async () => {
    cluster = await startCluster({ redis: true });
    bus = await openHealthBus(cluster.nats);
    ways = { bus, pods: cluster.pods, random };
    const [first] = cluster.pods;
    if (first === undefined) throw new Error("a cluster without pods");
    steady = await enableLink(cluster, first, "steady");
    churning = [];
    for (let index = 0; index < CHURNING; index++) {
      churning.push(await enableLink(cluster, first, `churning-${index}`));
    }
  });
  afterAll(async () => {
    await bus?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  test("all compute the same and record it once, and a stable link stays UP", { timeout: 600_000 }, async () => {
    const steadyOnes = startConnectors([steady], ways, { nodes: 2, pauseMs: 400, say: () => ({ bind: "bound" }) });
    await untilStates(cluster.pods, { steady: "UP" });
    const watch = watchSteady(cluster.pods);
    const churn = startConnectors(churning, ways, { nodes: NODES, pauseMs: 60, say: () => anything(random) });
    await faults(cluster, churn, steady);
    await churn.stop();

    for (const [index, link] of churning.entries()) {
      for (const [at, saying] of (ENDS[index]?.says ?? []).entries()) {
        const node = `node-${(index + at) % NODES}`;
        const report = () => healthReport(link, { intervalMs: LONG_MS, ...saying, node });
        await until("its last report is kept", () => send(ways, report()));
      }
    }
    await untilStates(cluster.pods, {
      steady: "UP",
      ...Object.fromEntries(ENDS.map(({ state }, index) => [`churning-${index}`, state])),
    });
    await steadyOnes.stop();
    const { answers, others } = await watch.stop();
    expect(others, "answers that the stable link isn't UP").toEqual([]);
    for (const { name } of cluster.pods) expect(answers.get(name), name).toBeGreaterThan(20);

    await until("every report is considered", async () => {
      return (await bus.waitingFor("OPS_HEALTH", "ops-health-consumer")) === 0;
    });
    await expectSameHealth(cluster.pods, ["steady", ...churning.map(({ operatorId }) => operatorId)]);
    await untilStored(bus, cluster.postgres.primary);
    const recorded = await bus.transitions();
    expectChained(recorded);
    expect(
      byLink(recorded)
        .get("steady")
        ?.map(({ transition }) => OperationalState[transition.to]),
    ).toEqual(["UP"]);
    for (const [index, { state }] of ENDS.entries()) {
      const last = byLink(recorded).get(`churning-${index}`)?.at(-1)?.transition;
      expect(OperationalState[last?.to ?? 0], `churning-${index}`).toBe(state);
    }
    const [counted] = await cluster.postgres.primary.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM health_transition",
    );
    expect(counted?.n, "transitions stored").toBe(recorded.length);
    expect(recorded.length).toBeGreaterThan(50);
    expect(await bus.deadLetters()).toEqual([]);
    console.log(
      `churning: ${JSON.stringify(churn.counts)}; steady: ${JSON.stringify(steadyOnes.counts)}, ` +
        `${JSON.stringify(Object.fromEntries(answers))} answers, all UP; ${recorded.length} transitions, stored once`,
    );
  });

  test("what nobody can read becomes a dead letter, and holds nothing up", async () => {
    const { operatorUid } = steady;
    const [real] = churning;
    if (real === undefined) throw new Error("no link");
    const says = (bind: Saying["bind"]) => healthReport(real, { bind, node: "node-0", intervalMs: LONG_MS });
    const garbage = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
    const poison: readonly (readonly [subject: string, data: Uint8Array])[] = [
      [`ops.health.v1.${operatorUid}.main.garbage`, garbage],
      [`ops.health.v1.${operatorUid}.main`, garbage],
      [`ops.health.v1.${operatorUid}.main.node-0.more`, garbage],
      [`ops.health.v1.${operatorUid}.main.somebody-else`, toBinary(HealthReportSchema, says("failed"))],
      [`ops.state.v1.${operatorUid}.other`, garbage],
    ];
    await bus.publish(healthReport(steady, { bind: "bound", node: "node-0", intervalMs: LONG_MS }));
    for (const [subject, data] of poison) await bus.publishBytes(subject, data);
    // Of a link that there isn't: no poison, only of no use.
    await bus.publish({ ...says("failed"), operatorUid: crypto.randomUUID() });
    await bus.publish({ ...says("failed"), node: "node-1", leaving: true });
    await bus.publish(says("failed"));
    await untilStates(cluster.pods, { steady: "UP", "churning-0": "DOWN" });
    await until("the change is stored", async () => {
      const stored = byLink(await storedTransitions(cluster.postgres.primary)).get("churning-0");
      return stored?.at(-1)?.transition.to === OperationalState.DOWN;
    });

    await until("the dead letters are there", async () => (await bus.deadLetters()).length >= poison.length);
    const letters = (await bus.deadLetters()).map(({ subject, data }) => [subject, Buffer.from(data).toString("hex")]);
    const expected = poison.map(([subject, data]) => [subject, Buffer.from(data).toString("hex")]);
    expect(letters.toSorted()).toEqual(expected.toSorted());
  });
});

/** Something else each time: every state, and streaks and flaps that hold a link back for a while. */
function anything(random: Random): Omit<Saying, "node"> {
  const streak = random.integer(0, 6);
  const flaps = random.next() < 0.1 ? 1 : 0;
  const common = { streak, flaps, intervalMs: LONG_MS };
  const dice = random.next();
  if (dice < 0.4) return { ...common, bind: "bound" };
  if (dice < 0.65) return { ...common, bind: "failed", streak: 0 };
  if (dice < 0.75) return { ...common, bind: "refused", streak: 0 };
  if (dice < 0.8) return { ...common, bind: "trying", streak: 0 };
  if (dice < 0.9) return { ...common, bind: "bound", errors: random.pick([10, 50]), streak: 0 };
  if (dice < 0.96) return { ...common, bind: "bound", throttledRate: 10, streak: 0 };
  return { ...common, bind: "trying", leaving: true, streak: 0 };
}

/** One after the other, each for as long as it takes the connectors to report on. */
async function faults(cluster: Cluster, churn: Connectors, steady: HealthLink): Promise<void> {
  const { pods, nats, redis } = cluster;
  const [first, second, third] = pods;
  if (first === undefined || second === undefined || third === undefined || redis === undefined) {
    throw new Error("a cluster without three pods and Redis");
  }
  const goesOn = async (what: string, reports = REPORTS_PER_FAULT): Promise<void> => {
    const kept = (): number => churn.counts.overBus + churn.counts.overPods;
    const before = kept();
    await until(`${reports} more reports are kept: ${what}`, () => kept() >= before + reports, 60_000);
  };
  await goesOn("all is well");
  await first.kill();
  await goesOn("a pod is killed");
  await first.restart();
  for (const pod of [second, third, second, first, second]) {
    pod.pause();
    await goesOn("a pod is frozen", REPORTS_PER_FAULT / 4);
    pod.resume();
    await goesOn("it thaws", REPORTS_PER_FAULT / 4);
  }
  await flush(redis);
  await using mirror = openMirror(redis);
  await until("the mirror is rebuilt", async () => (await mirror.newest(steady)) !== undefined);
  await goesOn("Redis was emptied");
  const leader = nats.nodes[await nats.leaderOf("OPS_HEALTH")]?.server;
  await leader?.kill();
  await goesOn("the leader of the reports is killed");
  await leader?.start();
  await third.restart();
  await goesOn("a pod was restarted");
}

/** Asks every pod all the time. */
function watchSteady(pods: readonly Pod[]) {
  const stop = new AbortController();
  const answers = new Map<string, number>();
  const others: string[] = [];
  const running = pods.map(async (pod) => {
    while (!stop.signal.aborted) {
      const [health] = await healthAt(pod, ["steady"]).catch(() => []); // it is down
      const state = health?.connections["main"]?.state;
      if (state !== undefined) answers.set(pod.name, (answers.get(pod.name) ?? 0) + 1);
      if (state !== undefined && state !== OperationalState.UP) others.push(`${pod.name}: ${OperationalState[state]}`);
      await delay(100);
    }
  });
  return {
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      return { answers, others };
    },
  };
}
