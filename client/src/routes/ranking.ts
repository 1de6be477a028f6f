import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Route } from "@operator-management/contract/ops/v1/route_pb.js";
import { classOf, type Candidate } from "./candidate.ts";
import { byId } from "./link.ts";
import { currentLimit, effectiveWeight, limitOf } from "./weighing.ts";

/** A candidate and its class. */
interface Ranked {
  readonly candidate: Candidate;
  readonly class: 0 | 1 | 2;
}

/** What became of the candidates that no hard reason leaves out. */
export interface Ranking {
  /** Best first. */
  readonly routes: Route[];
  /** Those of class 2 when there is a better one. */
  readonly spared: readonly Candidate[];
}

/** Ranks the candidates; none of them may have a hard reason. `maxRoutes` 0: all. `now` in milliseconds since 1970. */
export function rank(candidates: readonly Candidate[], maxRoutes: number, now: number): Ranking {
  const allUnknown = candidates.every(({ state }) => state === OperationalState.UNKNOWN);
  const all = candidates.map((candidate): Ranked => ({ candidate, class: classOf(candidate, allUnknown, now) }));
  const better = all.filter((ranked) => ranked.class < 2);
  const used = better.length > 0 ? better : all;
  const routes: Route[] = [];
  let tier = 0;
  let previous: Ranked | undefined;
  for (const ranked of used.sort(bestFirst)) {
    if (previous === undefined || !isSameTier(previous, ranked)) tier++;
    if (maxRoutes > 0 && tier > 1 && routes.length >= maxRoutes) break;
    routes.push(routeOf(ranked, routes.length + 1, tier, now));
    previous = ranked;
  }
  const spared = better.length > 0 ? all.filter((ranked) => ranked.class === 2) : [];
  return { routes, spared: spared.map(({ candidate }) => candidate) };
}

function bestFirst(a: Ranked, b: Ranked): number {
  return (
    a.class - b.class ||
    a.candidate.priority - b.candidate.priority ||
    (b.candidate.entry?.specificity ?? 0) - (a.candidate.entry?.specificity ?? 0) ||
    byId(a.candidate.link, b.candidate.link)
  );
}

function isSameTier(a: Ranked, b: Ranked): boolean {
  return a.class === b.class && a.candidate.priority === b.candidate.priority;
}

/** A literal and not `create`, which takes ten times as long: there may be thousands in an answer. */
function routeOf({ candidate, class: classNumber }: Ranked, place: number, tier: number, now: number): Route {
  const { link, entry, health, state, priority, weight, soft } = candidate;
  const limit = limitOf(link, now);
  const route: Route = {
    $typeName: "ops.v1.Route",
    operatorId: link.operatorId,
    connectionId: link.connectionId,
    rank: place,
    tier,
    class: classNumber,
    priority,
    weight,
    effectiveWeight: effectiveWeight(weight, limit, health),
    lastResort: classNumber === 2,
    reasons: [...soft],
    state,
    grade: health?.grade ?? QualityGrade.UNSPECIFIED,
    holders: health?.holders ?? [],
    limit,
    currentLimit: currentLimit(limit, health),
    observedRate: health?.observedRate ?? 0,
  };
  if (entry !== undefined) route.matched = entry.match;
  if (health?.since !== undefined) route.since = health.since;
  if (health?.observedTime !== undefined) route.observedTime = health.observedTime;
  return route;
}
