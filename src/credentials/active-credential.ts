import { clone, create } from "@bufbuild/protobuf";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  ConnectionCredentialSchema,
  type CredentialVersion,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { requireConnection } from "../operators/require-operator.ts";
import { isUnbound, stateName } from "../operators/state-rules.ts";
import { opsError } from "../rpc/errors.ts";

/**
 * The operator with `credential` as the connection's active one. Only where nobody can be bound with another.
 * @throws CONNECTION_NOT_FOUND, USE_ROTATE, ROTATION_IN_PROGRESS
 */
export function withActiveCredential(before: Operator, connectionId: string, credential: CredentialVersion): Operator {
  const { credential: stored, effectiveState } = requireConnection(before, connectionId);
  const subject = `connections.${connectionId}`;
  const metadata = { operator_id: before.id, connection_id: connectionId, effective_state: stateName(effectiveState) };
  if (stored?.pending !== undefined) {
    const text = `${subject} is being rotated to credential ${stored.pending.id}; promote or cancel that first`;
    throw opsError(ErrorReason.ROTATION_IN_PROGRESS, text, { metadata });
  }
  if (stored?.active !== undefined && !isUnbound(effectiveState)) {
    const description = "must have no credential, or be DRAFT or DISABLED";
    const text = `${subject} has a credential and is ${stateName(effectiveState)}; disable it first, or rotate its credential`;
    throw opsError(ErrorReason.USE_ROTATE, text, {
      metadata,
      preconditions: [{ type: "EFFECTIVE_STATE", subject, description }],
    });
  }
  const after = clone(OperatorSchema, before);
  const connection = requireConnection(after, connectionId);
  connection.systemId = credential.systemId;
  connection.credential = create(ConnectionCredentialSchema, { active: credential });
  return after;
}
