import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ConnectionHealthSchema,
  OperationalReason,
  OperationalState,
  type ConnectionHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";

/**
 * A link's health after nothing was heard of it for too long: UNKNOWN, as the service would have it when its reports stop. What time does
 * not change stays: when it was last good, and its maintenance windows.
 */
export function aged(health: ConnectionHealth, since: number): ConnectionHealth {
  const { state, lastGoodTime, bindsWanted, currentWindow, upcomingWindows } = health;
  if (state === OperationalState.UNKNOWN) return health;
  return create(ConnectionHealthSchema, {
    state: OperationalState.UNKNOWN,
    reasons: [OperationalReason.NO_REPORT],
    since: timestampFromMs(since),
    bindsWanted,
    upcomingWindows,
    ...(lastGoodTime && { lastGoodTime }),
    ...(currentWindow && { currentWindow }),
  });
}
