import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { effectiveState } from "./state-rules.ts";

/**
 * What an operator routes now, as coverage keys: `mccmnc:26201`, `mcc:262`, `prefix:4932`, `any`; and, after a `!`, the holes in
 * them: what its connections deny or give a weight of 0, and no other of them covers. A destination is covered when the most
 * specific key that matches it is not a hole. Exact: for every destination it says what the connections one by one would say.
 */
export type LiveCoverage = readonly string[];

/** The live coverage of an operator, sorted: the column `live_coverage`. Deleted operators route nothing. */
export function liveCoverage(operator: Operator): string[] {
  const connections = operator.deleteTime === undefined ? liveConnections(operator) : [];
  const keys = new Set(connections.flatMap((entries) => [...entries.keys()]));
  const covered = new Set([...keys].filter((key) => connections.some((entries) => routes(entries, key))));
  const result: string[] = [];
  for (const key of keys) {
    if (covered.has(key)) result.push(key);
    else if (sameOrBroader(key).some((broader) => covered.has(broader))) result.push(`!${key}`);
  }
  return result.sort();
}

/** The key itself and those that include it, most specific first: `mccmnc:26201`, `mcc:262`, `any`. Numbers and networks don't mix. */
export function sameOrBroader(key: string): string[] {
  const [kind, value = ""] = key.split(":");
  switch (kind) {
    case "mccmnc":
      return [key, `mcc:${value.slice(0, 3)}`, "any"];
    case "mcc":
      return [key, "any"];
    case "prefix":
      return [...Array.from(value, (_, i) => `prefix:${value.slice(0, value.length - i)}`), "any"];
    default:
      return [key];
  }
}

/** What was routed before and is not after, as keys; part of a key counts too (`mccmnc:26201` of `mcc:262`). Sorted. */
export function lostKeys(before: LiveCoverage, after: LiveCoverage): string[] {
  return darkKeys(before, after, []);
}

/**
 * The keys that were routed before and that nobody routes after: neither this operator nor one of the others. Empty when the
 * change takes nobody's last route. `others` must hold every operator with a key that `lookupKeys` names. Sorted.
 */
export function darkKeys(before: LiveCoverage, after: LiveCoverage, others: readonly LiveCoverage[]): string[] {
  const was = verdicts(before);
  const remaining = [after, ...others].map(verdicts);
  // Within one key the answer changes only where somebody has a narrower key, so those are all that need asking.
  const atoms = new Set([...was.keys(), ...remaining.flatMap((verdict) => [...verdict.keys()])]);
  return [...atoms].filter((atom) => covers(was, atom) && !remaining.some((verdict) => covers(verdict, atom))).sort();
}

/** The keys by which to find every operator that could cover one of these: the keys and all broader ones. */
export function lookupKeys(keys: readonly string[]): string[] {
  return [...new Set(keys.flatMap(sameOrBroader))];
}

/** By key what a connection says of it: takes traffic, takes none (a weight of 0), or denies. */
type Entries = ReadonlyMap<string, "takes" | "none" | "denies">;

function liveConnections(operator: Operator): Entries[] {
  return Object.values(operator.connections)
    .filter((connection) => effectiveState(operator.adminState, connection.adminState) === AdminState.ENABLED)
    .map((connection) => new Map(connection.coverage.flatMap((entry) => entryOf(connection, entry))));
}

/** Nothing for a kind of entry that only a newer version knows. */
function entryOf(connection: Connection, entry: CoverageEntry): [string, "takes" | "none" | "denies"][] {
  const { kind } = entry;
  if (kind.case === undefined) return [];
  const key = kind.case === "any" ? "any" : `${kind.case}:${kind.value}`;
  if (entry.deny) return [[key, "denies"]];
  return [[key, (entry.weight ?? connection.weight) === 0 ? "none" : "takes"]];
}

/** Any matching deny excludes; else the most specific entry counts. */
function routes(entries: Entries, key: string): boolean {
  const matching = sameOrBroader(key).flatMap((k) => entries.get(k) ?? []);
  return matching[0] === "takes" && !matching.includes("denies");
}

/** By key: true for a route, false for a hole. */
function verdicts(coverage: LiveCoverage): ReadonlyMap<string, boolean> {
  return new Map(coverage.map((key) => (key.startsWith("!") ? [key.slice(1), false] : [key, true])));
}

function covers(verdict: ReadonlyMap<string, boolean>, key: string): boolean {
  const decisive = sameOrBroader(key).find((k) => verdict.has(k));
  return decisive !== undefined && verdict.get(decisive) === true;
}
