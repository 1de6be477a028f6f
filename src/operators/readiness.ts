import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { fieldInvalid, opsError, type FieldViolation } from "../rpc/errors.ts";

/**
 * A connection that is to be bound needs an endpoint, a rate and a credential.
 * @throws FIELD_INVALID with all that is missing, CREDENTIAL_MISSING when it is only the credential
 */
export function requireReadyConnection(id: string, connection: Connection, target: AdminState): void {
  if (target !== AdminState.TESTING && target !== AdminState.ENABLED) return;
  const path = `connections.${id}`;
  const missing = missingConfiguration(id, connection);
  const credential = {
    field: `${path}.credential`,
    description: "a connection needs one to be bound: store it with SetConnectionCredential",
  };
  const hasCredential = connection.credential?.active !== undefined;
  if (missing.length > 0) throw fieldInvalid(hasCredential ? missing : [...missing, credential]);
  if (hasCredential) return;
  throw opsError(ErrorReason.CREDENTIAL_MISSING, `${credential.field}: ${credential.description}`, {
    metadata: { connection_id: id },
    preconditions: [{ type: "CREDENTIAL", subject: path, description: credential.description }],
  });
}

/** What a connection's configuration lacks for it to be bound. */
export function missingConfiguration(id: string, connection: Connection): FieldViolation[] {
  const missing: FieldViolation[] = [];
  if (Object.keys(connection.endpoints).length === 0) {
    missing.push({
      field: `connections.${id}.endpoints`,
      description: "a connection needs the vendor's host to be bound",
    });
  }
  if (connection.throughput?.maxSegmentsPerSecond === undefined) {
    const field = `connections.${id}.throughput.max_segments_per_second`;
    missing.push({ field, description: "a connection needs the vendor's rate limit to be bound" });
  }
  return missing;
}

/** An operator leaves DRAFT when it has a connection. @throws FIELD_INVALID */
export function requireReadyOperator(operator: Operator): void {
  if (operator.adminState !== AdminState.DRAFT || Object.keys(operator.connections).length > 0) return;
  throw fieldInvalid([{ field: "connections", description: "add a connection before the operator leaves DRAFT" }]);
}
