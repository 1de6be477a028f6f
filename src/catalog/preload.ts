import { fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { and, desc, inArray, lte } from "drizzle-orm";
import { configChange } from "../db/schema.ts";
import { sameBytes } from "./bytes.ts";
import type { CatalogEntry } from "./entry.ts";
import { indexKeys, type IndexKeys } from "./index-keys.ts";
import { oldestWithin, readChanges, type Reader } from "./read-changes.ts";
import { readRevision, type ChangeRow, type Revision } from "./revision.ts";
import type { RingLimits } from "./ring.ts";

const UIDS_AT_ONCE = 500;

/**
 * The latest revisions up to the head, for watches to resume from after a restart. Stops before a revision that can't be read: what is
 * damaged there is VerifyHistory's to say, and no reason not to serve the present.
 */
export async function preloadRevisions(
  reader: Reader,
  head: bigint,
  limits: RingLimits,
  current: (id: string) => CatalogEntry | undefined,
): Promise<Revision[]> {
  const oldest = await oldestWithin(reader, head, limits);
  const rows = await readChanges(reader, oldest, head);
  const known = await keysBefore(reader, oldest, [...rows.values()].flat());
  let revisions: Revision[] = [];
  for (const [number, changes] of rows) {
    const revision = readOrSkip(number, changes, known, current);
    if (revision === undefined) revisions = [];
    else revisions.push(revision);
    for (const { uid, after } of revision?.changes ?? []) {
      if (after === undefined) known.delete(uid);
      else known.set(uid, after.keys);
    }
  }
  return revisions;
}

function readOrSkip(
  number: bigint,
  rows: readonly ChangeRow[],
  known: ReadonlyMap<string, IndexKeys>,
  current: (id: string) => CatalogEntry | undefined,
): Revision | undefined {
  try {
    return readRevision(number, rows, {
      before: (_id, uid) => known.get(uid),
      same: (id, digest) => {
        const entry = current(id);
        return entry !== undefined && sameBytes(entry.digest, digest) ? entry : undefined;
      },
    });
  } catch {
    return undefined; // resumption then starts after this revision
  }
}

/** The keys of the live ones among these operators as they were at a position, by uid. */
async function keysBefore(
  reader: Reader,
  position: bigint,
  rows: readonly ChangeRow[],
): Promise<Map<string, IndexKeys>> {
  const keys = new Map<string, IndexKeys>();
  const uids = [...new Set(rows.map((row) => row.operatorUid))];
  for (let at = 0; position > 0n && at < uids.length; at += UIDS_AT_ONCE) {
    const last = await reader
      .selectDistinctOn([configChange.operatorUid], { uid: configChange.operatorUid, record: configChange.record })
      .from(configChange)
      .where(
        and(inArray(configChange.operatorUid, uids.slice(at, at + UIDS_AT_ONCE)), lte(configChange.revision, position)),
      )
      .orderBy(configChange.operatorUid, desc(configChange.revision));
    for (const { uid, record } of last) {
      const live = keysIn(record);
      if (live !== undefined) keys.set(uid, live);
    }
  }
  return keys;
}

function keysIn(record: Uint8Array): IndexKeys | undefined {
  try {
    const { operator: bytes } = fromBinary(ConfigChangeSchema, record);
    const operator = bytes.length === 0 ? undefined : fromBinary(OperatorSchema, bytes);
    return operator === undefined || operator.deleteTime !== undefined ? undefined : indexKeys(operator);
  } catch {
    return undefined; // damaged, and before anything that can be resumed
  }
}
