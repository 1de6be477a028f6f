import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { opsError } from "../rpc/errors.ts";

/**
 * The operator to be changed.
 * @throws OPERATOR_NOT_FOUND for none, and for a deleted one with its `delete_time` in the metadata (AIP-164)
 */
export function requireLiveOperator(operator: Operator | undefined, operatorId: string): Operator {
  if (operator !== undefined && operator.deleteTime === undefined) return operator;
  const deleteTime = operator?.deleteTime && timestampDate(operator.deleteTime).toISOString();
  const text =
    deleteTime === undefined
      ? `there is no operator ${operatorId}`
      : `operator ${operatorId} was deleted at ${deleteTime}; a deleted operator can be read, but not changed`;
  throw opsError(ErrorReason.OPERATOR_NOT_FOUND, text, {
    metadata: { operator_id: operatorId, ...(deleteTime !== undefined && { delete_time: deleteTime }) },
    resource: { type: "ops.v1.Operator", name: `operators/${operatorId}` },
  });
}

/** A connection of the operator. @throws CONNECTION_NOT_FOUND */
export function requireConnection(operator: Operator, connectionId: string): Connection {
  const connection = ownEntry(operator.connections, connectionId);
  if (connection !== undefined) return connection;
  throw opsError(ErrorReason.CONNECTION_NOT_FOUND, `operator ${operator.id} has no connection ${connectionId}`, {
    metadata: { operator_id: operator.id, connection_id: connectionId },
    resource: { type: "ops.v1.Connection", name: `operators/${operator.id}/connections/${connectionId}` },
  });
}

/** @throws ETAG_MISMATCH, with the current one in the metadata, unless `etag` is empty (not checked) or current */
export function requireEtag(operator: Operator, etag: string): void {
  if (etag === "" || etag === operator.etag) return;
  throw opsError(
    ErrorReason.ETAG_MISMATCH,
    `operator ${operator.id} was changed since it had the etag you sent; read it again and repeat your change`,
    {
      metadata: { operator_id: operator.id, etag: operator.etag },
      resource: { type: "ops.v1.Operator", name: `operators/${operator.id}` },
    },
  );
}

/** A map's own entry: ids like `constructor` are legal, and every object inherits something of that name. */
export function ownEntry<T>(map: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
