import type { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import type { LinkConfig } from "./fold-config.ts";
import type { Observer } from "./fold-observer.ts";

/**
 * For how long fewer binds than wanted have been up, in milliseconds; undefined: enough are. Reports tell it by themselves: each bind that is
 * not up says for how long, and what a node held that left or fell silent has been missing since its last report. Binds that nobody reports
 * are missing as long as they can be wanted and anybody has been there to see.
 */
export function shortfall(config: LinkConfig, observers: readonly Observer[], now: number): number | undefined {
  const durations = [...config.wanted].flatMap(
    ([role, wanted]) => shortfallOf(role, wanted, config, observers, now) ?? [],
  );
  return durations.length === 0 ? undefined : Math.max(...durations);
}

function shortfallOf(
  role: BindRole,
  wanted: number,
  config: LinkConfig,
  observers: readonly Observer[],
  now: number,
): number | undefined {
  const live = observers.filter(({ standing }) => standing === "live");
  const up = live
    .flatMap(({ binds }) => binds)
    .filter(({ status, kind }) => status.role === role && kind === "up").length;
  const missing = wanted - up;
  if (missing <= 0) return undefined;
  const ages = observers.flatMap((observer) => agesOfMissing(observer, role, now)).sort((a, b) => b - a);
  // With n more slots known than wanted, the first n that went down were not missed.
  const spare = ages.length - missing;
  const known = ages[Math.max(0, spare)] ?? 0;
  return spare >= 0 ? known : Math.max(known, Math.min(now - config.wantedSince, observedFor(live)));
}

function agesOfMissing({ standing, binds, time, lasted }: Observer, role: BindRole, now: number): number[] {
  return binds.flatMap(({ status, kind }) => {
    if (status.role !== role) return [];
    if (standing !== "live") return status.state === BindState.BOUND ? [Math.max(0, now - time)] : [];
    if (kind === "up") return [];
    const start = status.unboundSince ?? status.since;
    return [start ? lasted(start) : Math.max(0, now - time)];
  });
}

function observedFor(live: readonly Observer[]): number {
  const starts = live.flatMap(({ binds, lasted }) =>
    binds.flatMap(({ status }) =>
      [status.since, status.boundSince, status.unboundSince].flatMap((start) => (start ? lasted(start) : [])),
    ),
  );
  return Math.max(0, ...starts);
}
