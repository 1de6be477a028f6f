import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";

/** OPERATOR_NOT_FOUND. */
export function operatorNotFound(operatorId: string): Error {
  return opsError(ErrorReason.OPERATOR_NOT_FOUND, `there is no operator ${operatorId}`, {
    metadata: { operator_id: operatorId },
    resource: { type: "ops.v1.Operator", name: `operators/${operatorId}` },
  });
}
