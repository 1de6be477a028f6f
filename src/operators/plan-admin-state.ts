import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import type { ChangeAdminStateRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { setAdminState } from "./admin-state.ts";
import { copyOf } from "./canonical.ts";
import { diffOperators } from "./diff.ts";
import { requireKnownEnums } from "./newer-schema.ts";
import type { Plan, PlanContext } from "./plan.ts";
import { requireReadyConnection, requireReadyOperator } from "./readiness.ts";
import { requireConnection, requireEtag, requireLiveOperator } from "./require-operator.ts";
import { seal } from "./seal.ts";
import { requireMove } from "./state-rules.ts";
import { stateWarnings } from "./warnings.ts";

/**
 * One move of the state machine, of the operator or of one of its connections. A move to the state that it is in does nothing.
 * @throws OPERATOR_NOT_FOUND, CONNECTION_NOT_FOUND, ETAG_MISMATCH, ILLEGAL_STATE_TRANSITION, FIELD_INVALID, CREDENTIAL_MISSING,
 * NEWER_SCHEMA
 */
export function planAdminState(
  request: ChangeAdminStateRequest,
  stored: Operator | undefined,
  context: PlanContext,
): Plan {
  const { operatorId, connectionId, target, reason } = request;
  const before = requireLiveOperator(stored, operatorId);
  requireEtag(before, request.etag);
  requireKnownEnums(before);
  const operator = copyOf(before);
  const subject = connectionId === "" ? operator : requireConnection(operator, connectionId);
  const plan = { kind: ChangeKind.ADMIN_STATE, before, warnings: [] };
  if (subject.adminState === target) return { ...plan, after: before, diff: [] };
  requireMove(connectionId === "" ? operatorId : `connections.${connectionId}`, subject.adminState, target);
  if (connectionId === "") requireReadyOperator(operator);
  else requireReadyConnection(connectionId, requireConnection(operator, connectionId), target);
  setAdminState(subject, target, reason, context);
  const after = seal(operator, context.now);
  return { ...plan, after, diff: diffOperators(before, after), warnings: stateWarnings(after, connectionId) };
}
