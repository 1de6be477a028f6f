import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";
import type { MaintenanceWindow } from "@operator-management/contract/ops/v1/maintenance_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { FieldViolation } from "../rpc/errors.ts";
import { isTimeZone, windowProblem } from "./window-problem.ts";

/** The rules that the contract can't express: references between connections, repeated coverage, recurrences, names of time zones. */
export function ruleViolations(operator: Operator): FieldViolation[] {
  return [
    ...windowViolations(operator.maintenanceWindows, "maintenance_windows"),
    ...Object.entries(operator.connections).flatMap(([id, connection]) => [
      ...referenceViolations(operator, id, connection),
      ...repeatedCoverage(connection.coverage, `connections.${id}.coverage`),
      ...windowViolations(connection.maintenanceWindows, `connections.${id}.maintenance_windows`),
      ...timeZoneViolations(connection.receipts?.timeZone ?? "", `connections.${id}.receipts.time_zone`),
    ]),
  ];
}

function referenceViolations(operator: Operator, id: string, connection: Connection): FieldViolation[] {
  return connection.receivesFor.flatMap((other, index) => {
    const field = `connections.${id}.receives_for[${index}]`;
    if (other === id) return [{ field, description: "names its own connection, which receives for itself anyway" }];
    if (Object.hasOwn(operator.connections, other)) return [];
    return [{ field, description: "names no connection of this operator" }];
  });
}

/** A set, because CEL's `unique()` compares every entry with every other: 2,000 of them would take it 90 ms. */
function repeatedCoverage(coverage: readonly CoverageEntry[], list: string): FieldViolation[] {
  const seen = new Map<string, number>();
  return coverage.flatMap(({ kind }, index) => {
    const key = `${kind.case} ${String(kind.value)}`;
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, index);
      return [];
    }
    return [{ field: `${list}[${index}]`, description: `matches the same as ${list}[${first}]; list each once` }];
  });
}

/** Counting out a recurrence takes milliseconds, in every process. */
const MOST_RECURRING = 10;

function windowViolations(windows: readonly MaintenanceWindow[], list: string): FieldViolation[] {
  const recurring = windows.filter(({ rrule }) => rrule !== "").length;
  if (recurring > MOST_RECURRING) {
    return [{ field: list, description: `has ${recurring} recurring windows; at most ${MOST_RECURRING} are possible` }];
  }
  return windows.flatMap((window, index) => {
    const problem = windowProblem(window);
    return problem === undefined
      ? []
      : [{ field: `${list}[${index}].${problem.field}`, description: problem.description }];
  });
}

function timeZoneViolations(timeZone: string, field: string): FieldViolation[] {
  if (timeZone === "" || isTimeZone(timeZone)) return [];
  return [{ field, description: "is no IANA time zone; write it like Europe/Berlin or UTC" }];
}
