import { AdminState, AdminStateSchema } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";

const moves: ReadonlyMap<AdminState, readonly AdminState[]> = new Map([
  [AdminState.DRAFT, [AdminState.TESTING, AdminState.ENABLED]],
  [AdminState.TESTING, [AdminState.ENABLED, AdminState.MAINTENANCE, AdminState.DISABLED]],
  [AdminState.ENABLED, [AdminState.TESTING, AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED]],
  [AdminState.DRAINING, [AdminState.ENABLED, AdminState.MAINTENANCE, AdminState.DISABLED]],
  [AdminState.MAINTENANCE, [AdminState.ENABLED, AdminState.TESTING, AdminState.DISABLED]],
  [AdminState.DISABLED, [AdminState.ENABLED, AdminState.TESTING, AdminState.MAINTENANCE]],
]);

/** How much each state holds back; DRAFT and DISABLED alike bind nothing. */
const restraint: ReadonlyMap<AdminState, number> = new Map([
  [AdminState.ENABLED, 0],
  [AdminState.TESTING, 1],
  [AdminState.DRAINING, 2],
  [AdminState.MAINTENANCE, 3],
  [AdminState.DISABLED, 4],
  [AdminState.DRAFT, 4],
]);

/** The states that `from` may move to; none for a state that this version doesn't know. */
export function possibleMoves(from: AdminState): readonly AdminState[] {
  return moves.get(from) ?? [];
}

/** Throws ILLEGAL_STATE_TRANSITION, naming the legal moves, unless `from` may move to `to`. `subject` is the path of what moves. */
export function requireMove(subject: string, from: AdminState, to: AdminState): void {
  if (possibleMoves(from).includes(to)) return;
  const possible = possibleMoves(from).map(stateName).join(", ");
  throw opsError(
    ErrorReason.ILLEGAL_STATE_TRANSITION,
    `${stateName(from)} cannot become ${stateName(to)}; possible: ${possible}`,
    {
      metadata: { subject, from: stateName(from), to: stateName(to), possible },
      preconditions: [{ type: "ADMIN_STATE", subject, description: `must be able to move to ${stateName(to)}` }],
    },
  );
}

/**
 * The state that connectors and routing obey: the operator's caps the connection's. Where both hold back alike the connection's
 * own counts; a state that this version doesn't know holds back more than any it knows.
 */
export function effectiveState(operator: AdminState, connection: AdminState): AdminState {
  return restraintOf(operator) > restraintOf(connection) ? operator : connection;
}

/** Whether nothing is bound in this state, so that what is in it may be deleted. */
export function isUnbound(state: AdminState): boolean {
  return state === AdminState.DRAFT || state === AdminState.DISABLED;
}

/** A state's short name, e.g. `ENABLED`; its number when this version doesn't know it. */
export function stateName(state: AdminState): string {
  return AdminStateSchema.value[state]?.localName ?? String(state);
}

function restraintOf(state: AdminState): number {
  return restraint.get(state) ?? Infinity;
}
