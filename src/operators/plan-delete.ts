import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import type { DeleteOperatorRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { opsError } from "../rpc/errors.ts";
import { copyOf } from "./canonical.ts";
import { diffOperators } from "./diff.ts";
import { requireKnownEnums } from "./newer-schema.ts";
import type { Plan, PlanContext } from "./plan.ts";
import { requireEtag, requireLiveOperator } from "./require-operator.ts";
import { seal } from "./seal.ts";
import { isUnbound, possibleMoves, stateName } from "./state-rules.ts";

/** How long a deleted operator is kept, in seconds: 30 days. */
const KEPT_FOR = 30n * 24n * 3_600n;

/**
 * The operator, deleted softly: its states and configuration stay as they are.
 * @throws OPERATOR_NOT_FOUND, ETAG_MISMATCH, ILLEGAL_STATE_TRANSITION, NEWER_SCHEMA
 */
export function planDelete(
  request: DeleteOperatorRequest,
  stored: Operator | undefined,
  { now }: Pick<PlanContext, "now">,
): Plan {
  const before = requireLiveOperator(stored, request.operatorId);
  requireEtag(before, request.etag);
  requireKnownEnums(before);
  if (!isUnbound(before.adminState)) throw notDeletable(before);
  const operator = copyOf(before);
  operator.deleteTime = now;
  operator.purgeTime = create(TimestampSchema, { seconds: now.seconds + KEPT_FOR, nanos: now.nanos });
  const after = seal(operator, now);
  return { kind: ChangeKind.DELETED, before, after, diff: diffOperators(before, after), warnings: [] };
}

function notDeletable({ id, adminState }: Operator): Error {
  const from = stateName(adminState);
  return opsError(
    ErrorReason.ILLEGAL_STATE_TRANSITION,
    `operator ${id} is ${from} and cannot be deleted; only DRAFT and DISABLED can: disable it first`,
    {
      metadata: { subject: id, from, to: "DELETED", possible: possibleMoves(adminState).map(stateName).join(", ") },
      preconditions: [{ type: "ADMIN_STATE", subject: id, description: "must be DRAFT or DISABLED" }],
    },
  );
}
