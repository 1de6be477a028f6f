import type {
  ConnectionHealth,
  HealthReport,
  OperationalReason,
  OperationalState,
} from "@operator-management/contract/ops/v1/health_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import type { Windows } from "./windows.ts";

/** A report as the stream has it. */
export interface ObservedReport {
  readonly report: HealthReport;
  /** Its place in the stream, which is the order of things. */
  readonly sequence: number;
  /** The stream's timestamp, never the node's. */
  readonly time: Date;
}

/** The last recorded transition of a link: where its hysteresis goes on from. */
export interface RecordedTransition {
  readonly state: OperationalState;
  readonly grade: QualityGrade;
  readonly reason: OperationalReason;
  readonly time: Date;
  readonly cause: bigint;
}

/** All that a link's health follows from. */
export interface FoldInput {
  readonly operator: Operator;
  readonly connectionId: string;
  /** The latest of each node; older ones and those of other links change nothing. */
  readonly reports: readonly ObservedReport[];
  readonly now: Date;
  readonly recorded?: RecordedTransition | undefined;
  /** Whether each observer's own view is wanted too. Default: true. */
  readonly withObservers?: boolean;
  /** Names of the nodes that the fleet knows; unset: all are known. */
  readonly knownNodes?: Pick<ReadonlySet<string>, "has">;
  /** `windowsAt` of this operator, connection and moment, where the caller has it already. */
  readonly windows?: Windows;
}

/** A link's health, and when to look again. */
export interface Folded {
  readonly health: ConnectionHealth;
  /** When the result may change without a new report or configuration; always after `now`. */
  readonly recheckAt: Date | undefined;
  /** Sequence of the newest report it rests on; 0: none. */
  readonly cause: number;
}
