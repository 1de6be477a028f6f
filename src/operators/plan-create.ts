import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import type { CreateOperatorRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { fieldInvalid, opsError } from "../rpc/errors.ts";
import { startInDraft } from "./admin-state.ts";
import { requireValid } from "./check-operator.ts";
import { withDefaults } from "./defaults.ts";
import { diffOperators } from "./diff.ts";
import { requireKnownFields } from "./newer-schema.ts";
import type { Plan, PlanContext } from "./plan.ts";
import { seal } from "./seal.ts";
import { mergeByMask } from "./update-mask.ts";
import { configurationWarnings } from "./warnings.ts";

/**
 * A new operator in DRAFT. `existing` is what has the id already, also a deleted one; `uid` must be new for ever.
 * @throws OPERATOR_EXISTS, FIELD_INVALID, NEWER_SCHEMA
 */
export function planCreate(
  request: CreateOperatorRequest,
  existing: Operator | undefined,
  uid: string,
  context: PlanContext,
): Plan {
  const { operatorId, operator: given = create(OperatorSchema), reason } = request;
  if (existing !== undefined) throw operatorExists(existing);
  if (given.id !== "" && given.id !== operatorId) {
    throw fieldInvalid([{ field: "operator.id", description: "leave it empty, or equal to operator_id" }]);
  }
  requireKnownFields(given, undefined);
  const empty = create(OperatorSchema, { id: operatorId, uid, createTime: context.now });
  const operator = withDefaults(mergeByMask(empty, given, ["*"]));
  startInDraft(operator, reason, context);
  requireValid(operator, undefined);
  const after = seal(operator, context.now);
  return {
    kind: ChangeKind.CREATED,
    before: undefined,
    after,
    diff: diffOperators(undefined, after),
    warnings: configurationWarnings(after, Object.keys(after.connections)),
  };
}

function operatorExists({ id, deleteTime, purgeTime }: Operator): Error {
  const metadata: Record<string, string> = { operator_id: id };
  let text = `operator ${id} exists already; update it, or choose another id`;
  if (deleteTime !== undefined) {
    metadata["delete_time"] = timestampDate(deleteTime).toISOString();
    text = `operator ${id} was deleted at ${metadata["delete_time"]}, and its id is kept until it is purged; choose another id`;
  }
  if (purgeTime !== undefined) metadata["purge_time"] = timestampDate(purgeTime).toISOString();
  return opsError(ErrorReason.OPERATOR_EXISTS, text, {
    metadata,
    resource: { type: "ops.v1.Operator", name: `operators/${id}` },
  });
}
