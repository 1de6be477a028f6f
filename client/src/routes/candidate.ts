import { OperationalState, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { RouteReason, type RouteMatch } from "@operator-management/contract/ops/v1/route_pb.js";
import { lackingFor } from "./abilities.ts";
import type { HealthView } from "./health-view.ts";
import { inMaintenance, observedState, softReasons, wasGoodLately } from "./link-health.ts";
import type { Link } from "./link.ts";
import type { Selection } from "./selection.ts";
import { priorityFor, weightFor } from "./weighing.ts";

/** The coverage entry of a link that counts for a query. */
export interface CountingEntry {
  /** What it says: see coverage-choice.ts. */
  readonly choice: number;
  readonly match: RouteMatch;
  readonly specificity: number;
}

/** How a query meets a link: an entry that counts, a deny, or nothing that matches. */
export type Coverage = CountingEntry | "denied" | "none";

/** A link as one query sees it. */
export interface Candidate {
  readonly link: Link;
  /** Undefined when no entry counts; `hard` says so then. */
  readonly entry: CountingEntry | undefined;
  readonly health: ConnectionHealth | undefined;
  readonly state: OperationalState;
  readonly priority: number;
  readonly weight: number;
  /** In the order of their numbers, as `soft`. */
  readonly hard: readonly RouteReason[];
  readonly soft: readonly RouteReason[];
}

/** Collects all that the rules need, and all reasons. `now` in milliseconds since 1970. */
export function candidateOf(
  link: Link,
  coverage: Coverage,
  { query, named, excluded }: Selection,
  healthView: HealthView,
  now: number,
): Candidate {
  const entry = typeof coverage === "string" ? undefined : coverage;
  const health = healthView.of(link.operatorId, link.operatorUid, link.connectionId);
  const weight = weightFor(link, entry?.choice, now);
  const isNamed = named?.has(link) === true;
  const hard: RouteReason[] = [];
  if (coverage === "none") hard.push(RouteReason.NO_COVERAGE);
  if (coverage === "denied") hard.push(RouteReason.COVERAGE_DENIED);
  hard.push(...(isNamed ? link.standingWhenNamed : link.standing));
  if (inMaintenance(health, now)) hard.push(RouteReason.MAINTENANCE);
  if (weight === 0) hard.push(RouteReason.WEIGHT_ZERO);
  hard.push(...lackingFor(link.abilities, query.need));
  if (excluded.has(link) || (named !== undefined && !isNamed)) hard.push(RouteReason.EXCLUDED_BY_CALLER);
  return {
    link,
    entry,
    health,
    state: observedState(health),
    priority: priorityFor(link, entry?.choice, now),
    weight,
    hard: hard.length < 2 ? hard : [...new Set(hard)].sort((a, b) => a - b),
    soft: softReasons(health),
  };
}

/** 0 good, 1 doubtful, 2 last resort. `allUnknown`: nothing is known of any link that may be used. */
export function classOf({ state, soft, health }: Candidate, allUnknown: boolean, now: number): 0 | 1 | 2 {
  if (soft.length > 0) return 2;
  if (state === OperationalState.UNKNOWN) return allUnknown || wasGoodLately(health, now) ? 0 : 1;
  return state === OperationalState.DEGRADED && health?.grade === QualityGrade.CRITICAL ? 1 : 0;
}
