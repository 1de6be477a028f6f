import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { PlanContext } from "./plan.ts";

/** Moves an operator or a connection, in place, and records who did it, when and why. */
export function setAdminState(
  subject: Operator | Connection,
  state: AdminState,
  reason: string,
  { actor, now }: PlanContext,
): void {
  subject.adminState = state;
  subject.adminStateReason = reason;
  subject.adminStateTime = now;
  subject.adminStateActor = actor;
  subject.keepBinds = state === AdminState.MAINTENANCE;
  // What a timer had in mind for the state before.
  subject.nextState = AdminState.UNSPECIFIED;
  delete subject.nextStateTime;
}

/** Puts what has no state yet into DRAFT: a new operator, and each new connection. In place. */
export function startInDraft(operator: Operator, reason: string, context: PlanContext): void {
  for (const subject of [operator, ...Object.values(operator.connections)]) {
    if (subject.adminState === AdminState.UNSPECIFIED) setAdminState(subject, AdminState.DRAFT, reason, context);
  }
}
