import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection, ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import {
  BindState,
  BindStatusSchema,
  HealthReportSchema,
  OperationalReason,
  OperationalState,
  type BindStatus,
  type ConnectionHealth,
  type HealthReport,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { foldConnection, type Folded, type FoldInput, type ObservedReport } from "../../src/health/fold.ts";

export const uid = "6f2d1c9a-7d0e-4c55-9c3b-0a54b7f1a001";
export const activeId = "6f2d1c9a-7d0e-4c55-9c3b-0a54b7f1a0a1";
export const oldId = "6f2d1c9a-7d0e-4c55-9c3b-0a54b7f1a0a0";
export const settings = "a".repeat(32);
/** Noon of a day without a change of clocks. */
export const start = Date.parse("2026-06-01T12:00:00Z");
export const SECOND = 1_000;
export const MINUTE = 60_000;

/** An enabled operator whose connection `main` wants two TRX binds, unchanged for a day. */
export function operatorWith(
  main: Exclude<MessageInitShape<typeof ConnectionSchema>, Connection> = {},
  more: Exclude<MessageInitShape<typeof OperatorSchema>, Operator> = {},
): Operator {
  return create(OperatorSchema, {
    id: "acme",
    uid,
    adminState: AdminState.ENABLED,
    updateTime: timestampFromMs(start - 24 * 60 * MINUTE),
    ...more,
    connections: {
      main: {
        adminState: AdminState.ENABLED,
        effectiveState: AdminState.ENABLED,
        binds: [{ role: BindRole.TRX, count: 2 }],
        throughput: { maxSegmentsPerSecond: 100 },
        credential: { active: { id: activeId, state: CredentialState.ACTIVE } },
        bindEtag: settings,
        ...main,
      },
      ...more.connections,
    },
  });
}

/** A bind by a clock that shows `clock`; bound for an hour unless told otherwise. */
export function bind(more: MessageInitShape<typeof BindStatusSchema> = {}, clock = start): BindStatus {
  const { state = BindState.BOUND } = more;
  const since = timestampFromMs(clock - 60 * MINUTE);
  return create(BindStatusSchema, {
    role: BindRole.TRX,
    state,
    credentialId: activeId,
    bindEtag: settings,
    since,
    ...(state === BindState.BOUND ? { boundSince: since, lastBindStatus: 0 } : { unboundSince: since }),
    ...more,
  });
}

export const failed = (more: MessageInitShape<typeof BindStatusSchema> = {}): BindStatus =>
  bind({ state: BindState.FAILED, detail: "connection refused", ...more });

/** A report of node `node`, whose own clock shows the stream's time unless `reportTime` says otherwise. */
export function report(
  node: string,
  binds: readonly BindStatus[],
  more: Omit<Exclude<MessageInitShape<typeof HealthReportSchema>, HealthReport>, "binds" | "node"> & {
    readonly at?: number;
    readonly sequence?: number;
  } = {},
): ObservedReport {
  const { at = start, sequence = 1 + at - start, ...fields } = more;
  return {
    report: create(HealthReportSchema, {
      operatorUid: uid,
      operatorId: "acme",
      connectionId: "main",
      node,
      epoch: 1n,
      interval: durationFromMs(10 * SECOND),
      reportTime: timestampFromMs(at),
      goodStreak: 10,
      binds: [...binds],
      ...fields,
    }),
    sequence,
    time: new Date(at),
  };
}

export function fold(
  reports: readonly ObservedReport[],
  more: Partial<Omit<FoldInput, "now" | "reports">> & { readonly now?: number } = {},
): Folded {
  const { now = start, ...input } = more;
  return foldConnection({ operator: operatorWith(), connectionId: "main", reports, ...input, now: new Date(now) });
}

/** `DEGRADED WARNING BINDS_MISSING SLOT_BUSY` */
export function summary({ health }: { readonly health: ConnectionHealth }): string {
  const grade = health.state === OperationalState.DEGRADED ? [QualityGrade[health.grade] ?? ""] : [];
  return [OperationalState[health.state], ...grade, ...health.reasons.map((reason) => OperationalReason[reason])].join(
    " ",
  );
}

/** What a recorder would have written of this result. */
export function recordedOf({ health, cause }: Folded, now: number): NonNullable<FoldInput["recorded"]> {
  const { state, grade, reasons, since } = health;
  const time = new Date(since ? Number(since.seconds) * 1_000 + since.nanos / 1e6 : now);
  return { state, grade, reason: reasons[0] ?? OperationalReason.UNSPECIFIED, time, cause: BigInt(cause) };
}

export function recorded(
  state: OperationalState,
  more: Partial<NonNullable<FoldInput["recorded"]>> = {},
): NonNullable<FoldInput["recorded"]> {
  const grade =
    state === OperationalState.UP
      ? QualityGrade.GOOD
      : state === OperationalState.DEGRADED
        ? QualityGrade.WARNING
        : QualityGrade.CRITICAL;
  return {
    state,
    grade,
    reason: OperationalReason.UNSPECIFIED,
    time: new Date(start - 10 * MINUTE),
    cause: 1n,
    ...more,
  };
}
