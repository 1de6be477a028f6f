import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { openHealthBus, storedTransitions, type HealthBus } from "./support-health-bus.ts";
import { enableLink, healthReport, type HealthLink } from "./support-health-link.ts";
import { expectSameHealth, untilStates } from "./support-same-health.ts";
import { byLink, expectChained, untilStored } from "./support-transitions.ts";

const LINKS = 20;
/** Of every link, while the primary is away: no more than are recorded at once of a link that flaps. */
const CHANGES = 6;
const INTERVAL_MS = 120_000;

/**
 * Invariant (design.md §7, health without PostgreSQL): reports are folded and transitions recorded as ever, these wait in JetStream, also over the
 * restart of a pod, and are stored afterwards, once and in order. That they wait for as long as it takes: test/health/transitions-wait.servers.test.ts.
 */
describe("while PostgreSQL is away", () => {
  let cluster: Cluster;
  let bus: HealthBus;
  let links: HealthLink[];

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1 });
    bus = await openHealthBus(cluster.nats);
    const [first] = cluster.pods;
    if (first === undefined) throw new Error("a cluster without pods");
    links = [];
    for (let index = 0; index < LINKS; index++) links.push(await enableLink(cluster, first, `link-${index}`));
  });
  afterAll(async () => {
    await bus?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** Every link's only node says the same; resolves when that many transitions are recorded in all. */
  const report = async (bind: "bound" | "failed", recorded: number): Promise<void> => {
    for (const link of links) await bus.publish(healthReport(link, { node: "node-0", bind, intervalMs: INTERVAL_MS }));
    await until(`${recorded} transitions are recorded`, async () => (await bus.transitions()).length >= recorded);
  };
  const states = (state: string) => Object.fromEntries(links.map(({ operatorId }) => [operatorId, state]));
  const waiting = () => bus.waitingFor("OPS_STATE", "ops-state-writer");

  test("transitions go on and wait, and are stored when it is back", async () => {
    const { pods, postgres } = cluster;
    const [, , third] = pods;
    if (third === undefined) throw new Error("a cluster without three pods");
    await report("bound", LINKS);
    await until("they are stored", async () => (await storedTransitions(postgres.primary)).length === LINKS);

    await postgres.primary.server.kill();
    let recorded = LINKS;
    for (let change = 0; change < CHANGES; change++) {
      await report(change % 2 === 0 ? "failed" : "bound", (recorded += LINKS));
      if (change === 1) await third.kill();
      if (change === 4) await third.restart();
    }
    await untilStates(pods, states("UP"));
    expect(await waiting(), "transitions wait").toBe(CHANGES * LINKS);
    await until("no report waits", async () => (await bus.waitingFor("OPS_HEALTH", "ops-health-consumer")) === 0);
    expect(await bus.deadLetters()).toEqual([]);
    await expectSameHealth(
      pods,
      links.map(({ operatorId }) => operatorId),
    );

    await postgres.primary.server.start();
    await until("nothing waits", async () => (await waiting()) === 0, 60_000);
    await untilStored(bus, postgres.primary);
    const all = await bus.transitions();
    expectChained(all);
    const stored = await storedTransitions(postgres.primary);
    expect(stored).toHaveLength(all.length);
    for (const { operatorId } of links) expect(byLink(stored).get(operatorId)).toHaveLength(1 + CHANGES);
    expect(await bus.deadLetters()).toEqual([]);
    console.log(`${CHANGES * LINKS} transitions waited for the primary, ${stored.length} stored once, 0 dead letters`);
  });
});
