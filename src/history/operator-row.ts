import { AdminStateSchema } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { OperatorKindSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { operator } from "../db/schema.ts";
import { specBytes } from "../operators/canonical.ts";
import { liveCoverage } from "../operators/coverage.ts";
import { sha256 } from "./fingerprint.ts";

/** A row of the table `operator`. */
export type OperatorRow = typeof operator.$inferSelect;

/**
 * The row of an operator, derived from its last record alone: a commit writes it, VerifyHistory derives it again and compares.
 * `record` is the operator's encoding as the history holds it, `current` the same decoded.
 */
export function operatorRow(revision: bigint, record: Uint8Array, current: Operator): OperatorRow {
  return {
    uid: current.uid,
    id: current.id,
    revision,
    record,
    digest: sha256(record),
    specDigest: sha256(specBytes(current)),
    kind: OperatorKindSchema.value[current.kind]?.localName ?? String(current.kind),
    adminState: AdminStateSchema.value[current.adminState]?.localName ?? String(current.adminState),
    deleteTime: current.deleteTime ?? null,
    purgeTime: current.purgeTime ?? null,
    liveCoverage: liveCoverage(current),
  };
}
