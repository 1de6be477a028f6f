import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { CredentialVersion } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { requireConnection } from "../operators/require-operator.ts";
import { isUnbound, stateName } from "../operators/state-rules.ts";
import { opsError } from "../rpc/errors.ts";
import { requireNoRotation, withActive } from "./pending-credential.ts";

/**
 * That the connection's credential may be replaced at once: nobody can be bound with another.
 * @throws CONNECTION_NOT_FOUND, USE_ROTATE, ROTATION_IN_PROGRESS
 */
export function requireSettable(operator: Operator, connectionId: string): void {
  const { credential: stored, effectiveState } = requireConnection(operator, connectionId);
  requireNoRotation(operator, connectionId);
  if (stored?.active === undefined || isUnbound(effectiveState)) return;
  const subject = `connections.${connectionId}`;
  const description = "must have no credential, or be DRAFT or DISABLED";
  const text = `${subject} has a credential and is ${stateName(effectiveState)}; disable it first, or rotate its credential`;
  throw opsError(ErrorReason.USE_ROTATE, text, {
    metadata: { operator_id: operator.id, connection_id: connectionId, effective_state: stateName(effectiveState) },
    preconditions: [{ type: "EFFECTIVE_STATE", subject, description }],
  });
}

/** The operator with `credential` as the connection's active one, and no rotation. @throws as `requireSettable` */
export function withActiveCredential(before: Operator, connectionId: string, credential: CredentialVersion): Operator {
  requireSettable(before, connectionId);
  return withActive(before, connectionId, credential);
}
