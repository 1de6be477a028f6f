import { durationMs, timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { LinkConfig } from "./fold-config.ts";
import { seeBind, type SeenBind } from "./fold-bind.ts";
import type { ObservedReport } from "./fold-input.ts";

const SHORTEST_INTERVAL_MS = 5_000;
const LONGEST_INTERVAL_MS = 120_000;
/** Longer than anything here is asked about; what a broken clock says beyond it is not believed. */
const LONGEST_SPAN_MS = 366 * 86_400_000;

/** One node's latest report at one moment. Times and spans in milliseconds, by the stream's clock. */
export interface Observer {
  readonly report: HealthReport;
  readonly sequence: number;
  readonly time: number;
  /** Time to its next report, clamped. */
  readonly interval: number;
  /** Left in order, silent for too long, or neither. */
  readonly standing: "live" | "silent" | "left";
  /** From when on it counts as silent. */
  readonly silentAt: number;
  readonly binds: readonly SeenBind[];
  /** For how long something has lasted that began at `start` by the node's clock: up to the report by that clock, from then on by ours. */
  readonly lasted: (start: Timestamp) => number;
}

/** Reads a node's latest report. */
export function observe({ report, sequence, time }: ObservedReport, config: LinkConfig, now: number): Observer {
  const arrived = time.getTime();
  const announced = report.interval ? durationMs(report.interval) : 0;
  const interval = Math.min(Math.max(announced, SHORTEST_INTERVAL_MS), LONGEST_INTERVAL_MS);
  const silentAt = arrived + config.policy.intervalsUntilUnknown * interval;
  const made = madeAt(report);
  return {
    report,
    sequence,
    time: arrived,
    interval,
    standing: report.leaving ? "left" : now >= silentAt ? "silent" : "live",
    silentAt,
    binds: report.binds.map((status) => seeBind(status, config)),
    lasted: (start) => within(made - timestampMs(start)) + within(now - arrived),
  };
}

function within(span: number): number {
  return Math.min(Math.max(0, span), LONGEST_SPAN_MS);
}

/** When the node made the report, by its own clock, which only differences may be taken to. */
function madeAt(report: HealthReport): number {
  if (report.reportTime) return timestampMs(report.reportTime);
  const times = report.binds.flatMap(({ since, boundSince, unboundSince }) => [since, boundSince, unboundSince]);
  return Math.max(...[report.lastGoodTime, ...times].map((time) => (time ? timestampMs(time) : -Infinity)));
}
