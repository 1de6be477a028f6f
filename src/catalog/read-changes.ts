import { and, asc, desc, gt, lte, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { configChange } from "../db/schema.ts";
import type { ChangeRow } from "./revision.ts";
import type { RingLimits } from "./ring.ts";

/** A database or an open transaction: inside a transaction always the transaction. */
export type Reader = Pick<Database, "select" | "selectDistinctOn">;

/** Rows of whole revisions in (after, through], in order. */
export async function readChanges(reader: Reader, after: bigint, through: bigint): Promise<Map<bigint, ChangeRow[]>> {
  const rows = await reader
    .select()
    .from(configChange)
    .where(and(gt(configChange.revision, after), lte(configChange.revision, through)))
    .orderBy(asc(configChange.revision), asc(configChange.operatorUid));
  return Map.groupBy(rows, (row) => row.revision);
}

/** The position after which the latest revisions stay within the limits; reads sizes only. */
export async function oldestWithin(reader: Reader, head: bigint, limits: RingLimits): Promise<bigint> {
  const sizes = await reader
    .select({
      revision: configChange.revision,
      bytes: sql<number>`sum(octet_length(${configChange.record}))`.mapWith(Number),
    })
    .from(configChange)
    .where(and(gt(configChange.revision, head - BigInt(limits.revisions)), lte(configChange.revision, head)))
    .groupBy(configChange.revision)
    .orderBy(desc(configChange.revision));
  let oldest = head;
  let total = 0;
  for (const { revision, bytes } of sizes) {
    total += bytes;
    if (total > limits.bytes || revision !== oldest) break;
    oldest = revision - 1n;
  }
  return oldest;
}
