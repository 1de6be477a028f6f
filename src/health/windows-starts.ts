import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { MaintenanceWindow } from "@operator-management/contract/ops/v1/maintenance_pb.js";
import { RRuleTemporal } from "rrule-temporal";
import { Temporal } from "temporal-polyfill";
import { windowProblem } from "../operators/window-problem.ts";

const DAY_MS = 86_400_000;
/** An hourly window is counted out for fewer days: it fills the list of what is upcoming all the same. */
const HOURLY_AHEAD_MS = 8 * DAY_MS;
const MOST_CANDIDATES = 200_000;

/**
 * When a recurring window begins from `from` to `to`, in milliseconds, in order of time; none for one that breaks a rule. The clocks of its
 * time zone count: a start that they skip is left out, one that occurs twice is the first.
 */
export function recurringStarts(window: MaintenanceWindow, from: number, to: number): number[] {
  if (window.start === undefined || window.rrule === "" || windowProblem(window) !== undefined) return [];
  const hourly = window.rrule.startsWith("FREQ=HOURLY");
  const until = hourly ? Math.min(to, from + 2 * 7 * DAY_MS + HOURLY_AHEAD_MS) : to;
  try {
    const dtstart = Temporal.Instant.fromEpochMilliseconds(timestampMs(window.start)).toZonedDateTimeISO(
      window.timeZone,
    );
    const rule = new RRuleTemporal({
      rruleString: `RRULE:${window.rrule}`,
      dtstart,
      temporal: Temporal,
      cache: false,
      maxCandidateEvaluations: MOST_CANDIDATES,
    });
    return rule.between(new Date(from), new Date(until), true).map(({ epochMilliseconds }) => epochMilliseconds);
  } catch {
    return []; // a rule that asks for more than MOST_CANDIDATES, or one that another version of this check let pass
  }
}
