import { setTimeout as delay } from "node:timers/promises";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Cluster } from "../cluster/cluster.ts";
import { meshOf } from "./support-clients.ts";
import { openHealthBus, type HealthBus } from "./support-health-bus.ts";
import { enableLink, healthReport, type HealthLink } from "./support-health-link.ts";

const PAUSE_MS = 1_000;
const FLAP_MS = 1_500;

/** Nodes that report, until they are disposed of. */
export interface Reporters extends AsyncDisposable {
  readonly bus: HealthBus;
  /** A link that is well: one node says so on the bus, another one to a pod. */
  readonly steady: HealthLink;
  /** A link that is DOWN and UP by turns. */
  readonly flapping: HealthLink;
}

export async function startReporters(cluster: Cluster): Promise<Reporters> {
  const { pods, nats } = cluster;
  const [first] = pods;
  if (first === undefined) throw new Error("a cluster without pods");
  const steady = await enableLink(cluster, first, "steady", "26202");
  const flapping = await enableLink(cluster, first, "flapping", "26203");
  const bus = await openHealthBus(nats);
  const stop = new AbortController();
  const { signal } = stop;

  /** To the first pod that takes it. Nobody: the next report will do. */
  const overPods = async (report: HealthReport): Promise<void> => {
    for (const pod of pods) {
      try {
        return void (await meshOf(pod).reportHealth({ reports: [report] }));
      } catch {
        continue; // it is away, or the bus is
      }
    }
  };
  const overBus = (report: HealthReport): Promise<void> => bus.publish(report);
  const again = async (pauseMs: number, tell: () => Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      await tell();
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  };
  let bound = false;
  const running = [
    again(PAUSE_MS, () => overBus(healthReport(steady, { node: "on-the-bus", bind: "bound" })).catch(() => undefined)),
    again(PAUSE_MS, () => overPods(healthReport(steady, { node: "at-a-pod", bind: "bound" }))),
    again(FLAP_MS, async () => {
      bound = !bound;
      const report = healthReport(flapping, { node: "flapper", bind: bound ? "bound" : "failed" });
      await overBus(report).catch(() => overPods(report));
    }),
  ];
  return {
    bus,
    steady,
    flapping,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(running);
      await bus[Symbol.asyncDispose]();
    },
  };
}
