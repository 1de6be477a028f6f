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

/** How long a report waits for this process to have read it from the stream too; then it comes again, to this one or another. */
const PATIENCE_MS = 5_000;

/** What the consumer needs. */
export interface ReportConsumerDeps {
  readonly bus: Pick<Bus, "consume">;
  readonly tracker: Pick<HealthTracker, "entryOf" | "reached">;
  readonly recorder: Pick<TransitionRecorder, "consider">;
  /** Told of every report of a live link, with its operator's id. Must not throw; nobody waits for what it begins. */
  readonly onReport: (report: HealthReport, message: BusMessage) => void;
}

/**
 * Records what reports change. No failure of a server holds a report back for good or makes it a dead letter: it comes again until it is
 * recorded, or a newer report of the same node takes its place in the stream. Only what nobody can ever read is a dead letter.
 */
export function consumeReports({ bus, tracker, recorder, onReport }: ReportConsumerDeps): Consumption {
  return bus.consume(REPORT_CONSUMER, async (message, signal) => {
    const { link, report } = readReport(message);
    const operatorId = tracker.entryOf(link)?.id;
    if (operatorId === undefined) return; // of an operator that is gone, or not here yet: the next report will do
    onReport({ ...report, operatorId }, message);
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    await tracker.reached("reports", message.sequence, patience);
    await recorder.consider(link, patience);
  });
}

/** @throws PoisonMessageError */
function readReport({ subject, data }: BusMessage): { readonly link: LinkId; readonly report: HealthReport } {
  const link = reporterOf(subject);
  if (link === undefined) throw new PoisonMessageError("its subject is none of a report");
  const report = decodeReport(data, link);
  if (report === undefined) throw new PoisonMessageError("it is no report of the link that its subject names");
  if (report.node !== link.node) throw new PoisonMessageError("it is of another node than its subject says");
  return { link, report };
}
