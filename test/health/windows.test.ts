import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  MaintenanceWindowSchema,
  type MaintenanceWindow,
} from "@operator-management/contract/ops/v1/maintenance_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, it } from "vitest";
import { windowsAt } from "../../src/health/windows.ts";
import { windowProblem } from "../../src/operators/window-problem.ts";
import { failureOf, maskOf, operatorOf, ready, storedOperator, context } from "../operators/operators.ts";
import { planUpdate } from "../../src/operators/plan-update.ts";
import { UpdateOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";

// Longer than 250 lines because every kind of recurrence, change of clocks and refusal has its row.

const at = (text: string) => timestampFromDate(new Date(text));

function recurring(
  rrule: string,
  start: string,
  timeZone: string,
  more: MessageInitShape<typeof MaintenanceWindowSchema> = {},
): MaintenanceWindow {
  return create(MaintenanceWindowSchema, {
    id: "w",
    rrule,
    start: at(start),
    timeZone,
    duration: durationFromMs(3_600_000),
    ...more,
  });
}

function windowsOf(windows: readonly MaintenanceWindow[], now: string, own: readonly MaintenanceWindow[] = []) {
  const operator = create(OperatorSchema, {
    maintenanceWindows: [...windows],
    connections: { main: { maintenanceWindows: [...own] } },
  });
  return windowsAt(operator, "main", new Date(now));
}

/** The first starts after `now`, as minutes in UTC. */
function starts(window: MaintenanceWindow, now: string, count: number): string[] {
  return windowsOf([window], now)
    .upcoming.slice(0, count)
    .map(({ start }) => timestampDate(start!).toISOString().slice(0, 16));
}

describe("a window that happens once", () => {
  const once = create(MaintenanceWindowSchema, {
    id: "once",
    start: at("2026-06-01T10:00:00Z"),
    end: at("2026-06-01T12:00:00Z"),
    keepBinds: false,
    note: "n",
    ticket: "t",
  });

  it("is in force from its start to its end", () => {
    expect(windowsOf([once], "2026-06-01T09:59:59Z")).toMatchObject({
      current: undefined,
      keepBinds: true,
      nextChange: new Date("2026-06-01T10:00:00Z"),
    });
    expect(windowsOf([once], "2026-06-01T10:00:00Z")).toMatchObject({
      current: {
        windowId: "once",
        fromOperator: true,
        start: once.start,
        end: once.end,
        keepBinds: false,
        note: "n",
        ticket: "t",
      },
      upcoming: [],
      keepBinds: false,
      lastChange: new Date("2026-06-01T10:00:00Z"),
      nextChange: new Date("2026-06-01T12:00:00Z"),
    });
    expect(windowsOf([once], "2026-06-01T12:00:00Z")).toMatchObject({
      current: undefined,
      lastChange: new Date("2026-06-01T12:00:00Z"),
      nextChange: undefined,
    });
  });

  it("is upcoming 90 days before, not sooner", () => {
    expect(windowsOf([once], "2026-03-03T10:00:00Z").upcoming).toHaveLength(1);
    expect(windowsOf([once], "2026-03-03T09:00:00Z").upcoming).toHaveLength(0);
  });

  it("is over at its ended_time, and not touched by an earlier one", () => {
    const ended = create(MaintenanceWindowSchema, { ...once, endedTime: at("2026-06-01T10:30:00Z") });
    expect(windowsOf([ended], "2026-06-01T10:29:59Z").current?.end).toEqual(at("2026-06-01T10:30:00Z"));
    expect(windowsOf([ended], "2026-06-01T10:30:00Z").current).toBeUndefined();
    const before = create(MaintenanceWindowSchema, { ...once, endedTime: at("2026-06-01T09:00:00Z") });
    expect(windowsOf([before], "2026-06-01T11:00:00Z").current?.end).toEqual(once.end);
  });

  it("of several the one that ends last is shown, and one that keeps no binds suffices", () => {
    const longer = create(MaintenanceWindowSchema, {
      id: "longer",
      start: at("2026-06-01T11:00:00Z"),
      end: at("2026-06-01T13:00:00Z"),
    });
    expect(windowsOf([once], "2026-06-01T11:30:00Z", [longer])).toMatchObject({
      current: { windowId: "longer", fromOperator: false, keepBinds: true },
      keepBinds: false,
    });
  });
});

describe("a recurring window", () => {
  it.each([
    [
      "skips a start that the clocks skip",
      recurring("FREQ=DAILY", "2026-03-01T01:30:00Z", "Europe/Berlin"),
      "2026-03-28T00:00:00Z",
      ["2026-03-28T01:30", "2026-03-30T00:30", "2026-03-31T00:30"],
    ],
    [
      "happens once where the clocks repeat its start",
      recurring("FREQ=DAILY", "2026-10-01T00:30:00Z", "Europe/Berlin"),
      "2026-10-24T12:00:00Z",
      ["2026-10-25T00:30", "2026-10-26T01:30"],
    ],
    [
      "follows the clocks of America/New_York",
      recurring("FREQ=WEEKLY;BYDAY=SU", "2026-03-01T08:00:00Z", "America/New_York"),
      "2026-02-28T00:00:00Z",
      ["2026-03-01T08:00", "2026-03-08T07:00", "2026-03-15T07:00"],
    ],
    [
      "leaves out the day that Pacific/Apia left out",
      recurring("FREQ=DAILY", "2011-12-27T20:00:00Z", "Pacific/Apia"),
      "2011-12-28T21:00:00Z",
      ["2011-12-29T20:00", "2011-12-30T20:00", "2011-12-31T20:00"],
    ],
    [
      "by hours goes on through the gap",
      recurring("FREQ=HOURLY;INTERVAL=6", "2026-03-28T22:00:00Z", "Europe/Berlin"),
      "2026-03-28T21:00:00Z",
      ["2026-03-28T22:00", "2026-03-29T04:00", "2026-03-29T10:00"],
    ],
    [
      "on the second Tuesday",
      recurring("FREQ=MONTHLY;BYDAY=2TU", "2026-01-13T03:00:00Z", "UTC"),
      "2026-06-01T00:00:00Z",
      ["2026-06-09T03:00", "2026-07-14T03:00", "2026-08-11T03:00"],
    ],
    [
      "on the last day of the month",
      recurring("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31T03:00:00Z", "UTC"),
      "2026-06-01T00:00:00Z",
      ["2026-06-30T03:00", "2026-07-31T03:00"],
    ],
    [
      "as often as COUNT says",
      recurring("FREQ=DAILY;COUNT=3", "2026-06-01T03:00:00Z", "UTC"),
      "2026-06-01T04:00:00Z",
      ["2026-06-02T03:00", "2026-06-03T03:00"],
    ],
    [
      "until UNTIL, included",
      recurring("FREQ=DAILY;UNTIL=20260602T030000Z", "2026-06-01T03:00:00Z", "UTC"),
      "2026-06-01T00:00:00Z",
      ["2026-06-01T03:00", "2026-06-02T03:00"],
    ],
    [
      "never on a day that doesn't exist",
      recurring("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01T03:00:00Z", "UTC"),
      "2026-06-01T00:00:00Z",
      [],
    ],
  ])("%s", (_name, window, now, expected) => {
    expect(windowProblem(window)).toBeUndefined();
    expect(starts(window, now, Math.max(1, expected.length))).toEqual(expected);
  });

  it("lasts as long in real time over a change of clocks", () => {
    const window = recurring("FREQ=DAILY", "2026-03-01T00:30:00Z", "Europe/Berlin", {
      duration: durationFromMs(4 * 3_600_000),
    });
    expect(windowsOf([window], "2026-03-29T04:29:59Z").current).toMatchObject({
      start: at("2026-03-29T00:30:00Z"),
      end: at("2026-03-29T04:30:00Z"),
    });
    expect(windowsOf([window], "2026-03-29T04:30:00Z").current).toBeUndefined();
  });

  it("of a week's length is in force on its last day", () => {
    const window = recurring("FREQ=YEARLY", "2025-06-01T00:00:00Z", "UTC", {
      duration: durationFromMs(7 * 86_400_000),
    });
    expect(windowsOf([window], "2026-06-07T23:59:59Z").current?.start).toEqual(at("2026-06-01T00:00:00Z"));
  });

  it("ended early comes again", () => {
    const window = recurring("FREQ=DAILY", "2026-06-01T03:00:00Z", "UTC", { endedTime: at("2026-06-02T03:10:00Z") });
    expect(windowsOf([window], "2026-06-02T03:20:00Z").current).toBeUndefined();
    expect(windowsOf([window], "2026-06-03T03:20:00Z").current?.end).toEqual(at("2026-06-03T04:00:00Z"));
  });

  it("every hour for a quarter of a century is cut at 20 occurrences", () => {
    const window = recurring("FREQ=HOURLY", "2000-01-01T00:00:00Z", "Europe/Berlin", {
      duration: durationFromMs(60_000),
    });
    const { upcoming, current } = windowsOf([window], "2026-06-01T00:00:30Z");
    expect(upcoming).toHaveLength(20);
    expect(current?.start).toEqual(at("2026-06-01T00:00:00Z"));
  });

  it("is left out when it can't be understood", () => {
    const bad = [
      recurring("FREQ=SECONDLY", "2026-06-01T00:00:00Z", "UTC"),
      recurring("FREQ=DAILY;BYHOUR=99", "2026-06-01T00:00:00Z", "UTC"),
      recurring("nonsense", "2026-06-01T00:00:00Z", "UTC"),
      recurring("FREQ=DAILY", "2026-06-01T00:00:00Z", "Mars/Olympus"),
      create(MaintenanceWindowSchema, { id: "empty" }),
      create(MaintenanceWindowSchema, { id: "rule", rrule: "FREQ=DAILY", timeZone: "UTC" }),
    ];
    expect(windowsOf(bad, "2026-06-01T00:30:00Z")).toMatchObject({ current: undefined, upcoming: [] });
  });
});

describe("a write is refused", () => {
  it.each([
    ["FREQ=DAILY;FOO=1", "rrule", "FOO, which is not supported"],
    ["FREQ=DAILY;BYHOUR=99", "rrule", "BYHOUR=99: must be numbers from 0 to 23"],
    ["FREQ=DAILY;INTERVAL=0", "rrule", "INTERVAL=0: must be a number from 1 to 1000"],
    ["FREQ=DAILY;COUNT=1001", "rrule", "COUNT=1001"],
    ["FREQ=DAILY;UNTIL=20260230T000000Z", "rrule", "UNTIL=20260230T000000Z: must be a time in UTC"],
    ["FREQ=DAILY;COUNT=1;UNTIL=20261231T000000Z", "rrule", "COUNT and UNTIL"],
    ["FREQ=WEEKLY;BYDAY=2MO", "rrule", "BYDAY with a number"],
    ["FREQ=WEEKLY;BYDAY=XX", "rrule", "BYDAY=XX"],
    ["FREQ=DAILY;FREQ=WEEKLY", "rrule", "twice"],
    ["FREQ=DAILY;BYSETPOS=1", "rrule", "BYSETPOS needs"],
    ["FREQ=HOURLY;BYMINUTE=0,30", "rrule", "would begin 48 times a day"],
    ["FREQ=DAILY", "time_zone", "no IANA time zone", "Europe/Atlantis"],
  ])("%s", (rrule, field, text, timeZone = "Europe/Berlin") => {
    const window = { id: "w", start: "2026-03-01T01:00:00Z", rrule, duration: "3600s", timeZone };
    const json = { connections: { main: ready({ maintenanceWindows: [window] }) } };
    const stored = storedOperator({ connections: { main: ready() } });
    const request = create(UpdateOperatorRequestSchema, { operatorId: "acme", operator: operatorOf(json) });
    request.updateMask = {
      $typeName: "google.protobuf.FieldMask",
      paths: maskOf("connections.main.maintenanceWindows"),
    };
    const failure = failureOf(() => planUpdate(request, stored, context));
    expect(failure.reason).toBe(ErrorReason.FIELD_INVALID);
    expect(failure.violations[`connections.main.maintenance_windows[0].${field}`]).toContain(text);
  });
});
