import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  WindowOccurrenceSchema,
  type MaintenanceWindow,
  type WindowOccurrence,
} from "@operator-management/contract/ops/v1/maintenance_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { recurringStarts } from "./windows-starts.ts";

const DAY_MS = 86_400_000;
const AHEAD_MS = 90 * DAY_MS;
const MOST_UPCOMING = 20;
/** The longest an occurrence may last. */
const LONGEST_MS = 7 * DAY_MS;

/** Planned work on a link as seen at one moment. */
export interface Windows {
  /** In force; of several the one that ends last. */
  readonly current: WindowOccurrence | undefined;
  /** Those that begin in the next 90 days, in order of time, at most 20. */
  readonly upcoming: WindowOccurrence[];
  /** Whether all that are in force keep the binds; true when none is. */
  readonly keepBinds: boolean;
  /** When one last began or ended, as far back as 7 days. */
  readonly lastChange: Date | undefined;
  /** When the next one begins or ends. */
  readonly nextChange: Date | undefined;
}

interface Occurrence {
  readonly window: MaintenanceWindow;
  readonly fromOperator: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * The maintenance windows of the operator and of one of its connections at `now`. A window that can't be understood (a newer version stored
 * it) is left out. Occurrences are computed once a day for each operator object, which must not be changed afterwards.
 */
export function windowsAt(operator: Operator, connectionId: string, now: Date): Windows {
  const at = now.getTime();
  const all = [
    ...operator.maintenanceWindows.flatMap((window) => occurrences(window, true, at)),
    ...(operator.connections[connectionId]?.maintenanceWindows ?? []).flatMap((window) =>
      occurrences(window, false, at),
    ),
  ].sort(byTime);
  const inForce = all.filter(({ start, end }) => start <= at && at < end);
  const upcoming = all.filter(({ start }) => start > at && start <= at + AHEAD_MS).slice(0, MOST_UPCOMING);
  const edges = all.flatMap(({ start, end }) => [start, end]);
  return {
    current:
      inForce.length === 0
        ? undefined
        : occurrence(inForce.reduce((last, each) => (each.end > last.end ? each : last))),
    upcoming: upcoming.map(occurrence),
    keepBinds: inForce.every(({ window }) => window.keepBinds ?? true),
    lastChange: dateOf(Math.max(...edges.filter((edge) => edge <= at))),
    nextChange: dateOf(Math.min(...edges.filter((edge) => edge > at))),
  };
}

/** From 7 days before to 90 days after `now`, ended_time considered; those that ended before they began are left out. */
function occurrences(window: MaintenanceWindow, fromOperator: boolean, now: number): Occurrence[] {
  const length = window.duration ? durationMs(window.duration) : 0;
  const ended = window.endedTime ? timestampMs(window.endedTime) : Infinity;
  const once = window.start && window.end && window.rrule === "" ? [timestampMs(window.start)] : undefined;
  const lasts = once && window.start && window.end ? timestampMs(window.end) - timestampMs(window.start) : length;
  return (once ?? startsOf(window, now)).flatMap((start) => {
    const end = start < ended ? Math.min(start + lasts, ended) : start + lasts;
    return end > start && end > now - LONGEST_MS ? [{ window, fromOperator, start, end }] : [];
  });
}

/** Recurrences that are kept counted out; an installation has some thousands. */
const MOST_KNOWN = 20_000;
const known = new Map<string, { readonly day: number; readonly starts: readonly number[] }>();

/** Counting out a recurrence takes milliseconds, so what was counted is kept for the day, for all windows that recur alike. */
function startsOf(window: MaintenanceWindow, now: number): readonly number[] {
  const day = Math.floor(now / DAY_MS);
  const key = `${window.start ? timestampMs(window.start) : ""} ${window.timeZone} ${window.rrule}`;
  let counted = known.get(key);
  if (counted?.day !== day) {
    // Back to what was in force 7 days before.
    counted = { day, starts: recurringStarts(window, day * DAY_MS - 2 * LONGEST_MS, (day + 1) * DAY_MS + AHEAD_MS) };
    known.delete(key); // the first of the map are those that were longest not counted
    known.set(key, counted);
    const [oldest] = known.keys();
    if (known.size > MOST_KNOWN && oldest !== undefined) known.delete(oldest);
  }
  return counted.starts;
}

function occurrence({ window, fromOperator, start, end }: Occurrence): WindowOccurrence {
  return create(WindowOccurrenceSchema, {
    windowId: window.id,
    fromOperator,
    start: timestampFromMs(start),
    end: timestampFromMs(end),
    keepBinds: window.keepBinds ?? true,
    note: window.note,
    ticket: window.ticket,
  });
}

function byTime(a: Occurrence, b: Occurrence): number {
  return (
    a.start - b.start ||
    a.end - b.end ||
    Number(b.fromOperator) - Number(a.fromOperator) ||
    (a.window.id < b.window.id ? -1 : 1)
  );
}

function dateOf(time: number): Date | undefined {
  return Number.isFinite(time) ? new Date(time) : undefined;
}
