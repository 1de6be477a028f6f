import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";
import { CoverageKind, type RouteMatch, type RouteQuery } from "@operator-management/contract/ops/v1/route_pb.js";

// What an entry matches, as one number below 2^53, so that a million of them take 8 bytes each. A 1 is put before the digits, because
// leading zeros and the number of digits count.
const MCCMNC = 3e15;
const MCC = 4e15;
const ANY = 5e15;

const LONGEST_PREFIX = 15;

/** One key that a query matches, and how specific it is. */
export interface QueryKey {
  readonly key: number;
  readonly match: RouteMatch;
  /** Higher is more specific. */
  readonly specificity: number;
}

/** The key of a coverage entry; undefined for what this version doesn't know or can't be matched. */
export function entryKey({ kind }: CoverageEntry): number | undefined {
  switch (kind.case) {
    case "mccmnc":
      return networkKey(kind.value);
    case "mcc":
      return /^\d{3}$/.test(kind.value) ? MCC + Number(kind.value) : undefined;
    case "prefix":
      return /^\d{1,15}$/.test(kind.value) ? Number(`1${kind.value}`) : undefined;
    case "any":
      return kind.value ? ANY : undefined;
    case undefined:
      return undefined;
  }
}

/** The keys of everything that matches a query, the most specific first. A number's network is never guessed. */
export function queryKeys({ network, number }: Pick<RouteQuery, "network" | "number">): QueryKey[] {
  const keys: QueryKey[] = [];
  const add = (key: number, kind: CoverageKind, value: string, specificity: number): void => {
    keys.push({ key, match: { $typeName: "ops.v1.RouteMatch", kind, value }, specificity });
  };
  const mccmnc = networkKey(network);
  if (mccmnc !== undefined) add(mccmnc, CoverageKind.MCCMNC, network, LONGEST_PREFIX + 2);
  if (/^\d+$/.test(number)) {
    for (let length = Math.min(number.length, LONGEST_PREFIX); length > 0; length--) {
      const prefix = number.slice(0, length);
      add(Number(`1${prefix}`), CoverageKind.PREFIX, prefix, length + 1);
    }
  }
  if (mccmnc !== undefined) {
    const mcc = network.slice(0, 3);
    add(MCC + Number(mcc), CoverageKind.MCC, mcc, 1);
  }
  add(ANY, CoverageKind.ANY, "", 0);
  return keys;
}

function networkKey(mccmnc: string): number | undefined {
  return /^\d{5,6}$/.test(mccmnc) ? MCCMNC + Number(`1${mccmnc}`) : undefined;
}
