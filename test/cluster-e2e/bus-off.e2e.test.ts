import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { openHealthBus, type HealthBus } from "./support-health-bus.ts";
import { enableLink, healthReport, type HealthLink, type Saying } from "./support-health-link.ts";
import { openMirror } from "./support-mirror.ts";
import { expectSameHealth, statesAt, untilStates } from "./support-same-health.ts";

const NETWORK = "26201";
/** Long enough for a pod to start while reports are still young. */
const INTERVAL_MS = 30_000;
/** By the health policy's default. */
const UNKNOWN_AFTER_MS = 3 * INTERVAL_MS;

/** The links, in the order of their priorities, to which that of their ids is opposite; observed they would be ranked otherwise. */
const LINKS: readonly { readonly state: string; readonly says: Omit<Saying, "node"> }[] = [
  { state: "DOWN", says: { bind: "failed" } },
  { state: "DEGRADED", says: { bind: "bound", errors: 50 } },
  { state: "AUTH_FAILED", says: { bind: "refused" } },
  { state: "UP", says: { bind: "bound" } },
  { state: "THROTTLED", says: { bind: "bound", throttledRate: 10 } },
];

/**
 * Invariant (test 7 of the ten, first half): without the bus nobody knows how the links are, and still every one of them is routed, in the order that
 * people gave them. A pod that starts meanwhile knows what Redis has copied; without Redis it knows nothing, and routes all the same.
 */
describe("while the bus is off", () => {
  let cluster: Cluster;
  let bus: HealthBus;
  let links: HealthLink[];
  const idOf = (index: number): string => `link-${LINKS.length - index}`;
  const ids = LINKS.map((_, index) => idOf(index));
  const observed = Object.fromEntries(LINKS.map(({ state }, index) => [idOf(index), state]));
  const unknown = Object.fromEntries(ids.map((id) => [id, "UNKNOWN"]));

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1, redis: true });
    bus = await openHealthBus(cluster.nats);
    const [first] = cluster.pods;
    if (first === undefined) throw new Error("a cluster without pods");
    links = [];
    for (const [index, operatorId] of ids.entries()) {
      links.push(await enableLink(cluster, first, operatorId, NETWORK));
      await adminOf(first, cluster, 20_000).updateOperator({
        operatorId,
        operator: { connections: { main: { priority: 10 * (index + 1) } } },
        updateMask: { paths: ["connections.main.priority"] },
      });
    }
  });
  afterAll(async () => {
    await bus?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  test("all is UNKNOWN and every link is routed, in order; a pod that starts knows what was copied", async () => {
    const { pods, nats, redis } = cluster;
    const [, second, third] = pods;
    if (second === undefined || third === undefined || redis === undefined) throw new Error("a cluster without all");
    await untilStates(pods, unknown);
    for (const pod of pods) {
      await until("it routes all links, in order", async () => isDeepStrictEqual(await routesAt(pod), ids));
    }

    const report = async (): Promise<void> => {
      for (const [index, link] of links.entries()) {
        const says = LINKS[index]?.says ?? { bind: "bound" };
        await bus.publish(healthReport(link, { intervalMs: INTERVAL_MS, node: "node-0", ...says }));
      }
    };
    await report();
    await untilStates(pods, observed);
    for (const pod of pods) {
      const routes = await routesAt(pod);
      expect(routes, "what is observed counts").not.toEqual(ids);
      expect(routes).not.toContain(idOf(0));
    }
    await using mirror = openMirror(redis);
    await report();
    const reportedAt = Date.now();
    for (const link of links) {
      await until("its report is copied", async () => ((await mirror.newest(link)) ?? 0) > reportedAt - 5_000);
    }
    await untilStates(pods, observed);

    await Promise.all(nats.nodes.map(({ server }) => server.kill()));
    await second.restart();
    expect(await statesAt(second, ids), "a pod that started without the bus").toEqual(observed);
    expect(Date.now() - reportedAt, "reports were young enough for that").toBeLessThan(UNKNOWN_AFTER_MS);
    await Promise.all(redis.nodes.map(({ server }) => server.kill()));
    await third.restart();
    expect(await statesAt(third, ids), "a pod that started without bus and Redis").toEqual(unknown);
    expect(await routesAt(third), "and yet all are routed").toEqual(ids);

    await untilStates(pods, unknown, UNKNOWN_AFTER_MS + 30_000);
    for (const pod of pods) expect(await routesAt(pod), pod.name).toEqual(ids);

    await Promise.all(nats.nodes.map(({ server }) => server.start()));
    await until("reports are kept again", () => report().then(() => true));
    await untilStates(pods, observed);
    await expectSameHealth(pods, ids);
  });
});

/** The operators of the network's links, best first. */
async function routesAt(pod: Pod): Promise<string[]> {
  const { results } = await meshOf(pod, 10_000).resolveRoutes({ queries: [{ network: NETWORK }] });
  return results[0]?.routes.map(({ operatorId }) => operatorId) ?? [];
}
