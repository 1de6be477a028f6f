import { and, desc, eq, lte } from "drizzle-orm";
import { configChange, operator } from "../db/schema.ts";
import type { Reader } from "./find-operator.ts";

/** The uid of the operator that has the id now, also of a deleted one. */
export async function findUid(reader: Reader, operatorId: string): Promise<string | undefined> {
  const [row] = await reader.select({ uid: operator.uid }).from(operator).where(eq(operator.id, operatorId));
  return row?.uid;
}

/** Records of the operator's history, newest first, from the given revision down. */
export async function recordsDownFrom(
  reader: Reader,
  uid: string,
  revision: bigint,
  limit: number,
): Promise<{ readonly revision: bigint; readonly record: Uint8Array }[]> {
  return reader
    .select({ revision: configChange.revision, record: configChange.record })
    .from(configChange)
    .where(and(eq(configChange.operatorUid, uid), lte(configChange.revision, revision)))
    .orderBy(desc(configChange.revision))
    .limit(limit);
}

/** The record of one revision of the operator. */
export async function findRecord(reader: Reader, uid: string, revision: bigint): Promise<Uint8Array | undefined> {
  const [row] = await reader
    .select({ record: configChange.record })
    .from(configChange)
    .where(and(eq(configChange.operatorUid, uid), eq(configChange.revision, revision)));
  return row?.record;
}
