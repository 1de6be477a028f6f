import { fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { ChangeRow } from "../catalog/revision.ts";
import type { Place } from "./place.ts";

/** A message to be published, and where the stream is once it holds it. */
export interface Outgoing {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly place: Place;
}

/** A revision's rows in the order in which they are told: by operator, and where it frees an id and uses it again, the removal first. */
export function inOrder(rows: readonly ChangeRow[]): ChangeRow[] {
  return rows.toSorted((a, b) => {
    if (a.operatorId !== b.operatorId) return a.operatorId < b.operatorId ? -1 : 1;
    return Number(isRemoval(b)) - Number(isRemoval(a));
  });
}

function isRemoval({ record }: ChangeRow): boolean {
  try {
    return fromBinary(ConfigChangeSchema, record).operator.length === 0;
  } catch {
    return false; // damaged; VerifyHistory says so
  }
}
