import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";

/**
 * Which networks a connection reaches, by network code: 4 bytes for each entry, for a million entries in memory. Prefixes of
 * numbers say nothing about networks, so they are left out.
 */
export interface NetworkCoverage {
  readonly allowed: Uint32Array;
  readonly denied: Uint32Array;
}

const NONE = new Uint32Array(0);
const ANY = 4_000_000;

/** The coverage of one connection; undefined when it reaches no network. */
export function networkCoverage(connection: Connection): NetworkCoverage | undefined {
  const allowed = codesOf(connection.coverage.filter((entry) => !entry.deny));
  if (allowed.length === 0) return undefined;
  return { allowed, denied: codesOf(connection.coverage.filter((entry) => entry.deny)) };
}

/** Whether one of the connections reaches this network (5 or 6 digits): by itself, by its country or by `any`, and by no entry denied. */
export function covers(connections: readonly NetworkCoverage[], mccmnc: string): boolean {
  const codes = [networkCode(mccmnc), countryCode(mccmnc.slice(0, 3)), ANY];
  const has = (sorted: Uint32Array): boolean => codes.some((code) => includes(sorted, code));
  return connections.some(({ allowed, denied }) => has(allowed) && !has(denied));
}

/** Whether one of the connections reaches any network. */
export function coversAny(connections: readonly NetworkCoverage[]): boolean {
  return connections.some(({ denied }) => !includes(denied, ANY));
}

/** Whether one of the connections names a network by itself that passes the test, and reaches it. */
export function listsNetwork(connections: readonly NetworkCoverage[], test: (mccmnc: string) => boolean): boolean {
  return connections.some((connection) =>
    connection.allowed.some((code) => {
      const mccmnc = networkText(code);
      return mccmnc !== undefined && test(mccmnc) && covers([connection], mccmnc);
    }),
  );
}

function codesOf(entries: readonly CoverageEntry[]): Uint32Array {
  const codes = entries.map(codeOf).filter((code) => code !== undefined);
  return codes.length === 0 ? NONE : Uint32Array.from(codes).sort();
}

function codeOf({ kind }: CoverageEntry): number | undefined {
  switch (kind.case) {
    case "mccmnc":
      return networkCode(kind.value);
    case "mcc":
      return countryCode(kind.value);
    case "any":
      return ANY;
    case "prefix":
    case undefined:
      return undefined;
  }
}

/** "00101" and "000101" are different networks, so the number of digits is part of the code. */
function networkCode(mccmnc: string): number {
  return Number(mccmnc) + (mccmnc.length === 6 ? 1_000_000 : 0);
}

function networkText(code: number): string | undefined {
  if (code < 1_000_000) return String(code).padStart(5, "0");
  return code < 2_000_000 ? String(code - 1_000_000).padStart(6, "0") : undefined;
}

function countryCode(mcc: string): number {
  return 3_000_000 + Number(mcc);
}

function includes(sorted: Uint32Array, code: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const value = sorted[middle];
    if (value === code) return true;
    if (value !== undefined && value < code) low = middle + 1;
    else high = middle;
  }
  return false;
}
