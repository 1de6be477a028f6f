import { OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import type { LinkConfig } from "./fold-config.ts";
import type { RecordedTransition } from "./fold-input.ts";
import type { Observer } from "./fold-observer.ts";
import { judgeAlone, type Verdict } from "./fold-verdict.ts";

const BACK_OFF_MS = 30_000;
const LONGEST_BACK_OFF_MS = 5 * 60_000;
/** Part of the back-off that chance takes away, so that links lost together don't all come back at once. */
const JITTER = 0.2;

const { UP, DEGRADED, THROTTLED, DOWN, AUTH_FAILED } = OperationalState;

/**
 * The verdict as it stands after the recorded one. A first observation, and whatever is worse, applies at once. A link that was DOWN or
 * AUTH_FAILED is used again after the policy's good_streak and the re-entry back-off; one that was DEGRADED or THROTTLED is UP after the
 * good_streak. All of it is in the reports, so that no process has to remember anything. `name` is what chance is drawn from.
 */
export function settle(
  verdict: Verdict,
  recorded: RecordedTransition | undefined,
  observers: readonly Observer[],
  { config, now, name }: { readonly config: LinkConfig; readonly now: number; readonly name: string },
): Verdict {
  if (recorded === undefined) return verdict;
  const live = observers.filter(({ standing }) => standing === "live");
  const usable = verdict.state === UP || verdict.state === DEGRADED || verdict.state === THROTTLED;
  if (usable && (recorded.state === DOWN || recorded.state === AUTH_FAILED)) {
    const wait = waitForReentry(live, config, name);
    return wait > 0 ? held(recorded, verdict, [now + wait]) : verdict;
  }
  if (verdict.state === UP && (recorded.state === DEGRADED || recorded.state === THROTTLED)) {
    // A node that is not well by itself (it has a spare bind too few, say) has no streak and must not keep the link from being UP.
    const well = live.filter((observer) => judgeAlone(observer, config, now).state === UP);
    const steady = well.every(({ report }) => report.goodStreak >= config.policy.goodStreak);
    return steady ? verdict : held(recorded, verdict, []);
  }
  return verdict;
}

function held(
  { state, grade, reason, time }: RecordedTransition,
  verdict: Verdict,
  changesAt: readonly number[],
): Verdict {
  return { state, grade, reasons: [reason], since: time.getTime(), changesAt: [...verdict.changesAt, ...changesAt] };
}

/** How long the binds that are back must still hold, in milliseconds. */
function waitForReentry(live: readonly Observer[], config: LinkConfig, name: string): number {
  const backOff = reentryBackOff(live, name);
  const waits = live.flatMap(({ report, binds, interval, lasted }) => {
    const up = binds.filter(({ kind }) => kind === "up");
    if (up.length === 0) return [];
    const bound = Math.max(0, ...up.map(({ status }) => (status.boundSince ? lasted(status.boundSince) : 0)));
    // As long as the streak takes: a node with a bind too few reports none, and is better than nothing.
    const steady =
      report.goodStreak >= config.policy.goodStreak ? 0 : (config.policy.goodStreak - 1) * interval - bound;
    return [Math.max(steady, backOff - bound)];
  });
  return Math.min(...waits);
}

/** 30 s for each time that all of a node's binds were lost in the last hour. */
function reentryBackOff(live: readonly Observer[], name: string): number {
  const losses = Math.max(0, ...live.map(({ report }) => Math.ceil(report.flaps / Math.max(1, report.binds.length))));
  return Math.min(losses * BACK_OFF_MS, LONGEST_BACK_OFF_MS) * (1 - JITTER * chance(`${name}/${losses}`));
}

/** A number from 0 to 1 that is the same for the same text (FNV-1a): every process must draw alike. */
function chance(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash / 0xffff_ffff;
}
