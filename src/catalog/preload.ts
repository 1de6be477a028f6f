import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { and, desc, inArray, lte } from "drizzle-orm";
import { configChange } from "../db/schema.ts";
import { decodeRecord } from "../history/decode-record.ts";
import { sameBytes } from "./bytes.ts";
import type { CatalogEntry } from "./entry.ts";
import { indexKeys, type IndexKeys } from "./index-keys.ts";
import { oldestWithin, readChanges, type Reader } from "./read-changes.ts";
import { readRevision, type ChangeRow, type Revision } from "./revision.ts";
import type { RingLimits } from "./ring.ts";

const UIDS_AT_ONCE = 500;

/**
 * The latest revisions up to the head, for watches to resume from after a restart. Begins after the last one that can't be read, or that
 * touches an operator whose state before it can't be: a watch that resumed there might miss a removal from its filter, so it must list again.
 * What is damaged is VerifyHistory's to say, and no reason not to serve the present.
 */
export async function preloadRevisions(
  reader: Reader,
  head: bigint,
  limits: RingLimits,
  current: (id: string) => CatalogEntry | undefined,
  progress: () => void = () => undefined,
): Promise<Revision[]> {
  const oldest = await oldestWithin(reader, head, limits);
  progress();
  const rows = await readChanges(reader, oldest, head);
  progress();
  const { keys: known, unreadable } = await keysBefore(reader, oldest, [...rows.values()].flat());
  let revisions: Revision[] = [];
  for (const [number, changes] of rows) {
    const revision = readOrSkip(number, changes, known, current);
    if (revision === undefined || changes.some(({ operatorUid }) => unreadable.has(operatorUid))) revisions = [];
    else revisions.push(revision);
    if (revision === undefined) for (const { operatorUid } of changes) unreadable.add(operatorUid);
    for (const { uid, after } of revision?.changes ?? []) {
      unreadable.delete(uid);
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

/** The keys of the live ones among these operators as they were at a position, by uid; and those of which that can't be told. */
async function keysBefore(
  reader: Reader,
  position: bigint,
  rows: readonly ChangeRow[],
): Promise<{ readonly keys: Map<string, IndexKeys>; readonly unreadable: Set<string> }> {
  const keys = new Map<string, IndexKeys>();
  const unreadable = new Set<string>();
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
      const bytes = decodeRecord(ConfigChangeSchema, record)?.operator;
      if (bytes?.length === 0) continue; // purged
      const operator = bytes && decodeRecord(OperatorSchema, bytes);
      if (operator === undefined) unreadable.add(uid);
      else if (operator.deleteTime === undefined) keys.set(uid, indexKeys(operator));
    }
  }
  return { keys, unreadable };
}
