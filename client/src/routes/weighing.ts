import { OperationalState, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { priorityOf, weightOf } from "./coverage-choice.ts";
import { observedState } from "./link-health.ts";
import { overridden, type Link } from "./link.ts";

/** The priority for a query; `choice` is of the coverage entry that counts, if one does. */
export function priorityFor(link: Link, choice: number | undefined, now: number): number {
  return overridden(link, "priority", now) ?? (choice === undefined ? undefined : priorityOf(choice)) ?? link.priority;
}

/** The weight for a query, before health; `choice` as above. */
export function weightFor(link: Link, choice: number | undefined, now: number): number {
  return overridden(link, "weight", now) ?? (choice === undefined ? undefined : weightOf(choice)) ?? link.weight;
}

/** The rate limit in segments per second; 0: none is configured. */
export function limitOf(link: Link, now: number): number {
  return overridden(link, "maxSegmentsPerSecond", now) ?? link.limit;
}

/** The limit after throttling. The health may be older than an override, so it can only lower the limit. */
export function currentLimit(limit: number, health: ConnectionHealth | undefined): number {
  const observed = health?.currentLimit ?? 0;
  return observed > 0 && (limit === 0 || observed < limit) ? observed : limit;
}

/** The weight after health: an integer, at least 1. */
export function effectiveWeight(weight: number, limit: number, health: ConnectionHealth | undefined): number {
  return Math.max(1, Math.floor(scaled(weight, limit, health)));
}

function scaled(weight: number, limit: number, health: ConnectionHealth | undefined): number {
  switch (observedState(health)) {
    case OperationalState.DEGRADED:
      return weight / (health?.grade === QualityGrade.CRITICAL ? 20 : 2);
    case OperationalState.THROTTLED:
      return limit === 0 ? weight : (weight * currentLimit(limit, health)) / limit;
    default:
      return weight;
  }
}
