import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { RouteReason } from "@operator-management/contract/ops/v1/route_pb.js";

/** Why no query gets this link as it is configured. `named`: but for queries that name it in `only`. */
export function standingReasons(operator: Operator, connection: Connection, named: boolean): readonly RouteReason[] {
  const reasons = new Set<RouteReason>();
  const add = (reason: RouteReason | undefined): void => void (reason !== undefined && reasons.add(reason));
  add(reasonOf(connection.adminState, named));
  const ofOperator = reasonOf(operator.adminState, named);
  add(ofOperator);
  if (ofOperator !== undefined) add(RouteReason.OPERATOR_STATE);
  // The cap of both, unless a newer version has more to say.
  if (connection.effectiveState !== AdminState.UNSPECIFIED) add(reasonOf(connection.effectiveState, named));
  const { active, pending } = connection.credential ?? {};
  if (active === undefined && pending === undefined) add(RouteReason.NO_CREDENTIAL);
  return interned([...reasons].sort((a, b) => a - b));
}

function reasonOf(state: AdminState, named: boolean): RouteReason | undefined {
  switch (state) {
    case AdminState.ENABLED:
      return undefined;
    case AdminState.TESTING:
      return named ? undefined : RouteReason.TESTING;
    case AdminState.DRAFT:
      return RouteReason.ADMIN_DRAFT;
    case AdminState.DRAINING:
      return RouteReason.DRAINING;
    case AdminState.MAINTENANCE:
      return RouteReason.MAINTENANCE;
    case AdminState.DISABLED:
      return RouteReason.DISABLED;
    case AdminState.UNSPECIFIED:
    default:
      return RouteReason.STATE_UNKNOWN_HERE;
  }
}

const NONE: readonly RouteReason[] = [];

/** Nearly all links have none. */
function interned(reasons: RouteReason[]): readonly RouteReason[] {
  return reasons.length === 0 ? NONE : reasons;
}
