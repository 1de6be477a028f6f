import { setTimeout as delay } from "node:timers/promises";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Pod } from "../cluster/cluster.ts";
import type { Random } from "../history-checker/random.ts";
import { meshOf } from "./support-clients.ts";
import type { HealthBus } from "./support-health-bus.ts";
import { healthReport, type HealthLink, type Saying } from "./support-health-link.ts";

const CLOCK_BACK_MS = 120_000;

/** Simulated connectors that report, in a disorderly world, until they are stopped. */
export interface Connectors {
  readonly counts: {
    reports: number;
    overBus: number;
    overPods: number;
    /** Nobody said that it was kept: the next one will do. */
    unsure: number;
    duplicates: number;
    /** Older ones that came after newer ones. */
    reordered: number;
    /** Restarts of nodes whose clock was two minutes back afterwards. */
    restarts: number;
  };
  /** Resolves when everything that was sent has ended. */
  stop(): Promise<void>;
}

/** How reports get to the stream: as a connector publishes them, or over a pod. */
export interface Ways {
  readonly bus: HealthBus;
  readonly pods: readonly Pod[];
  readonly random: Random;
}

/** Sends a report one way or the other. Whether somebody said that it is kept. */
export async function send({ bus, pods, random }: Ways, report: HealthReport, way?: "bus" | "pod"): Promise<boolean> {
  try {
    if ((way ?? random.pick(["bus", "pod"])) === "bus") await bus.publish(report);
    else await meshOf(random.pick(pods)).reportHealth({ reports: [report] });
    return true;
  } catch {
    return false; // a pod or a server is away: who needs to know is told
  }
}

interface Told {
  readonly link: HealthLink;
  last: HealthReport | undefined;
}

/**
 * Each link is reported by two nodes, and each node's reports are sent again, overtaken by older ones, and made after restarts with the clock set
 * back. What a node says next is up to `say`.
 */
export function startConnectors(
  links: readonly HealthLink[],
  ways: Ways,
  options: {
    readonly nodes: number;
    readonly pauseMs: number;
    readonly say: (node: number, link: HealthLink) => Omit<Saying, "node" | "clockMs" | "epoch">;
  },
): Connectors {
  const { random } = ways;
  const stop = new AbortController();
  const counts = { reports: 0, overBus: 0, overPods: 0, unsure: 0, duplicates: 0, reordered: 0, restarts: 0 };

  const tell = async (report: HealthReport, way: "bus" | "pod"): Promise<void> => {
    counts.reports++;
    if (!(await send(ways, report, way))) counts.unsure++;
    else if (way === "bus") counts.overBus++;
    else counts.overPods++;
  };

  const run = async (index: number): Promise<void> => {
    const node = `node-${index}`;
    const own = links.filter((_, at) => at % options.nodes === index || (at + 1) % options.nodes === index);
    const told: Told[] = own.map((link) => ({ link, last: undefined }));
    // Every other clock is wrong from the start.
    let [epoch, clockOffset] = [1, index % 2 === 0 ? -CLOCK_BACK_MS : 0];
    while (!stop.signal.aborted) {
      const about = random.pick(told);
      const dice = random.next();
      // The first node of all keeps its clock, so that not everything restarts at once.
      if (dice < 0.02 && index > 0) {
        counts.restarts++;
        epoch++;
        clockOffset = clockOffset === 0 ? -CLOCK_BACK_MS : 0;
        for (const each of told) {
          const clockMs = Date.now() + clockOffset;
          each.last = healthReport(each.link, { bind: "trying", intervalMs: 120_000, node, epoch, clockMs });
          await tell(each.last, random.pick(["bus", "pod"]));
        }
      }
      const before = about.last;
      const saying = { ...options.say(index, about.link), node, epoch, clockMs: Date.now() + clockOffset };
      about.last = healthReport(about.link, saying);
      await tell(about.last, random.pick(["bus", "pod"]));
      if (dice > 0.8) {
        counts.duplicates++;
        await Promise.all([tell(about.last, "bus"), tell(about.last, "pod")]);
      } else if (dice > 0.65 && before !== undefined) {
        counts.reordered++;
        await tell(before, random.pick(["bus", "pod"]));
      }
      await delay(options.pauseMs * (0.5 + random.next()), undefined, { signal: stop.signal });
    }
  };

  const running = Array.from({ length: options.nodes }, (_, index) =>
    run(index).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    }),
  );
  return {
    counts,
    stop: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}
