import { and, eq, lte, or, sql } from "drizzle-orm";
import type { ChangeRow } from "../catalog/revision.ts";
import type { Database } from "../db/db.ts";
import { configChange } from "../db/schema.ts";
import { inOrder } from "./outgoing.ts";

/** Where an operator's last record up to some revision is. */
export interface RecordKey {
  readonly operatorId: string;
  readonly revision: bigint;
}

/** A database or an open transaction: inside a transaction always the transaction. */
type Reader = Pick<Database, "select">;

/**
 * The last record of every id that history knows up to a revision, by id: also of deleted and purged operators, so that the outcome is the same
 * whether a stream was there all the time or is filled anew.
 */
export async function lastRecordKeys(reader: Reader, through: bigint): Promise<RecordKey[]> {
  const { operatorId, revision } = configChange;
  const keys = await reader
    .select({ operatorId, revision: sql<bigint>`max(${revision})`.mapWith(revision) })
    .from(configChange)
    .where(lte(revision, through))
    .groupBy(operatorId);
  return keys.sort((a, b) => (a.operatorId < b.operatorId ? -1 : 1));
}

/** The records at these keys, in their order; shorter when one is missing. */
export async function readRecords(reader: Reader, keys: readonly RecordKey[]): Promise<ChangeRow[]> {
  if (keys.length === 0) return [];
  const rows = await reader.select().from(configChange).where(anyOf(keys));
  const byId = new Map(inOrder(rows).map((row) => [row.operatorId, row])); // the last one of an id stays
  return keys.flatMap(({ operatorId }) => byId.get(operatorId) ?? []);
}

/** SHA-256 of the records at these keys, by id; of both, where a revision freed an id and used it again. */
export async function readDigests(reader: Reader, keys: readonly RecordKey[]): Promise<Map<string, Uint8Array[]>> {
  const { operatorId, record } = configChange;
  const rows = await reader
    .select({ operatorId, digest: sql<Uint8Array>`sha256(${record})`.mapWith(record) })
    .from(configChange)
    .where(anyOf(keys));
  const digests = new Map<string, Uint8Array[]>();
  for (const row of rows) digests.set(row.operatorId, [...(digests.get(row.operatorId) ?? []), row.digest]);
  return digests;
}

function anyOf(keys: readonly RecordKey[]) {
  return or(
    ...keys.map((key) => and(eq(configChange.revision, key.revision), eq(configChange.operatorId, key.operatorId))),
  );
}
