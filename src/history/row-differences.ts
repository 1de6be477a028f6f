import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { OperatorRow } from "./operator-row.ts";

/** The names of the columns in which a stored row differs from the one that history derives. */
export function differingColumns(stored: OperatorRow, derived: OperatorRow): string[] {
  const same: { readonly [column in keyof OperatorRow]: boolean } = {
    uid: stored.uid === derived.uid,
    id: stored.id === derived.id,
    revision: stored.revision === derived.revision,
    record: sameBytes(stored.record, derived.record),
    digest: sameBytes(stored.digest, derived.digest),
    specDigest: sameBytes(stored.specDigest, derived.specDigest),
    kind: stored.kind === derived.kind,
    adminState: stored.adminState === derived.adminState,
    deleteTime: sameTime(stored.deleteTime, derived.deleteTime),
    purgeTime: sameTime(stored.purgeTime, derived.purgeTime),
    liveCoverage: JSON.stringify(stored.liveCoverage) === JSON.stringify(derived.liveCoverage),
  };
  return Object.entries(same).flatMap(([column, equal]) => (equal ? [] : [snakeCase(column)]));
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Equal to the microsecond, which is all that a column holds. */
export function sameTime(a: Timestamp | null, b: Timestamp | null): boolean {
  if (a === null || b === null) return a === b;
  return a.seconds === b.seconds && Math.trunc(a.nanos / 1000) === Math.trunc(b.nanos / 1000);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
