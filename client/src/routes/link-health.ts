import { OperationalState, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import type { WindowOccurrence } from "@operator-management/contract/ops/v1/maintenance_pb.js";
import { RouteReason } from "@operator-management/contract/ops/v1/route_pb.js";
import { milliseconds } from "./milliseconds.ts";

/** For how long a link that was good counts as good although nothing is heard of it, in milliseconds. */
const GOOD_FOR_MS = 600_000;

/** What is observed; UNKNOWN for nothing, and for what this version doesn't know. */
export function observedState(health: ConnectionHealth | undefined): OperationalState {
  switch (health?.state) {
    case OperationalState.UP:
    case OperationalState.DEGRADED:
    case OperationalState.THROTTLED:
    case OperationalState.DOWN:
    case OperationalState.AUTH_FAILED:
      return health.state;
    default:
      return OperationalState.UNKNOWN;
  }
}

/** Why the link is only a last resort, in the order of the reasons' numbers. */
export function softReasons(health: ConnectionHealth | undefined): RouteReason[] {
  const state = observedState(health);
  if (health === undefined || state === OperationalState.UNKNOWN) return [];
  const reasons: RouteReason[] = [];
  if (state === OperationalState.DOWN) reasons.push(RouteReason.STATE_DOWN);
  if (health.transmittersBound === 0) reasons.push(RouteReason.NO_TX_BIND);
  if (state === OperationalState.AUTH_FAILED) reasons.push(RouteReason.AUTH_FAILED);
  return reasons;
}

/** Whether it was good less than 10 minutes ago. */
export function wasGoodLately(health: ConnectionHealth | undefined, now: number): boolean {
  return health?.lastGoodTime !== undefined && now - milliseconds(health.lastGoodTime) < GOOD_FOR_MS;
}

/** Whether a maintenance window is in force: the health may be older than the occurrence's begin or end. */
export function inMaintenance(health: ConnectionHealth | undefined, now: number): boolean {
  if (health === undefined) return false;
  return isInForce(health.currentWindow, now) || health.upcomingWindows.some((window) => isInForce(window, now));
}

function isInForce(window: WindowOccurrence | undefined, now: number): boolean {
  if (window === undefined) return false;
  const begun = window.start === undefined || milliseconds(window.start) <= now;
  return begun && (window.end === undefined || milliseconds(window.end) > now);
}
