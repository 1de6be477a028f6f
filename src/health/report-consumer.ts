import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import {
  PoisonMessageError,
  type Bus,
  type BusMessage,
  type Consumption,
  type ConsumerSpec,
} from "../backends/bus/bus.ts";
import { decodeReport } from "./latest-reports.ts";
import type { TransitionRecorder } from "./recorder.ts";
import { reporterOf, type LinkId } from "./subjects.ts";
import type { HealthTracker } from "./tracker.ts";

/** Shared by all processes: each report wakes the recorder of one of them. */
export const REPORT_CONSUMER: ConsumerSpec = { stream: "OPS_HEALTH", durable: "ops-health-consumer" };

/** How long a report waits for what it changes to be recorded; then that goes on without it, for the next one waits. */
const PATIENCE_MS = 1_000;

/** What the consumer needs. */
export interface ReportConsumerDeps {
  readonly bus: Pick<Bus, "consume">;
  readonly tracker: Pick<HealthTracker, "entryOf" | "reached">;
  readonly recorder: Pick<TransitionRecorder, "consider" | "considerLater">;
  /** Told of every report of a live link, with its operator's id. Must not throw; nobody waits for what it begins. */
  readonly onReport: (report: HealthReport, message: BusMessage) => void;
}

/**
 * Records what reports change. One that is in hand when its process dies comes again, to another. What can't be recorded at once (the bus, a process
 * that is behind) goes to the recorder's list and holds nothing up. Only what nobody can ever read is a dead letter.
 */
export function consumeReports({ bus, tracker, recorder, onReport }: ReportConsumerDeps): Consumption {
  return bus.consume(REPORT_CONSUMER, async (message, signal) => {
    const { link, report } = readReport(message);
    const operatorId = tracker.entryOf(link)?.id;
    if (operatorId === undefined) return; // of an operator that is gone, or not here yet: the next report will do
    onReport({ ...report, operatorId }, message);
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    try {
      await tracker.reached("reports", message.sequence, patience);
      await recorder.consider(link, patience);
    } catch {
      recorder.considerLater(link); // which says so, if it can't either
    }
  });
}

/** @throws PoisonMessageError */
function readReport({ subject, data }: BusMessage): { readonly link: LinkId; readonly report: HealthReport } {
  const link = reporterOf(subject);
  if (link === undefined) throw new PoisonMessageError("its subject is none of a report");
  const report = decodeReport(data, link);
  if (report === undefined) throw new PoisonMessageError("it is no report of the link and node that its subject names");
  return { link, report };
}
