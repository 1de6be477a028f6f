import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { Operator, OperatorKind } from "@operator-management/contract/ops/v1/operator_pb.js";
import { networkCoverage, type NetworkCoverage } from "./network-coverage.ts";

/** A credential that is to be proven by a bind. */
export interface PendingCredential {
  readonly connectionId: string;
  readonly credentialId: string;
}

/** What filters, sort orders, health and rotations need of an operator, so that none decodes it. */
export interface IndexKeys {
  readonly id: string;
  readonly kind: OperatorKind;
  readonly adminState: AdminState;
  readonly labels: ReadonlyMap<string, string>;
  /** Of each connection that reaches a network. */
  readonly coverage: readonly NetworkCoverage[];
  readonly connectionIds: readonly string[];
  /** Of the connections that are being rotated. */
  readonly pendingCredentials: readonly PendingCredential[];
  readonly displayName: string;
  /** Microseconds since 1970. */
  readonly createTime: number;
  /** Microseconds since 1970. */
  readonly updateTime: number;
}

const NO_LABELS: ReadonlyMap<string, string> = new Map();
const NO_COVERAGE: readonly NetworkCoverage[] = [];
const NO_CREDENTIALS: readonly PendingCredential[] = [];

/** Reads the keys off a decoded operator. */
export function indexKeys(operator: Operator): IndexKeys {
  const labels = Object.entries(operator.labels);
  const coverage = Object.values(operator.connections)
    .map(networkCoverage)
    .filter((each) => each !== undefined);
  const pending = Object.entries(operator.connections).flatMap(([connectionId, { credential }]) =>
    credential?.pending?.state === CredentialState.PENDING
      ? [{ connectionId, credentialId: credential.pending.id }]
      : [],
  );
  return {
    id: operator.id,
    kind: operator.kind,
    adminState: operator.adminState,
    labels: labels.length === 0 ? NO_LABELS : new Map(labels),
    coverage: coverage.length === 0 ? NO_COVERAGE : coverage,
    connectionIds: Object.keys(operator.connections),
    pendingCredentials: pending.length === 0 ? NO_CREDENTIALS : pending,
    displayName: operator.displayName,
    createTime: microseconds(operator.createTime),
    updateTime: microseconds(operator.updateTime),
  };
}

function microseconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Number(time.seconds) * 1_000_000 + Math.trunc(time.nanos / 1000);
}
