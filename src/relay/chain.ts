import type { Position } from "@operator-management/client";
import { and, asc, gt, lte, sql } from "drizzle-orm";
import { sameBytes } from "../catalog/bytes.ts";
import type { Transaction } from "../db/db.ts";
import { configChange } from "../db/schema.ts";
import { nextFingerprint } from "../history/fingerprint.ts";

/** Revisions whose records the server hashes in one statement: at most 200 MiB, within its time limit. */
const REVISIONS_AT_ONCE = 100n;

/**
 * Whether the position is in the history that ends at this head. The database keeps the head's fingerprint only, so the records in between
 * are chained to the one that the position claims: only the right one leads to the head's.
 */
export async function leadsTo(tx: Transaction, position: Position, head: Position): Promise<boolean> {
  let { revision, fingerprint } = position;
  while (revision < head.revision) {
    const rows = await tx
      .select({
        revision: configChange.revision,
        operatorId: configChange.operatorId,
        digest: sql<Uint8Array>`sha256(${configChange.record})`.mapWith(configChange.record),
      })
      .from(configChange)
      .where(
        and(
          gt(configChange.revision, revision),
          lte(configChange.revision, head.revision),
          lte(configChange.revision, revision + REVISIONS_AT_ONCE),
        ),
      )
      .orderBy(asc(configChange.revision));
    if (rows.length === 0) return false; // a gap
    for (const [number, digests] of Map.groupBy(rows, (row) => row.revision)) {
      if (number !== ++revision) return false;
      fingerprint = nextFingerprint(fingerprint, number, digests);
    }
  }
  return revision === head.revision && sameBytes(fingerprint, head.fingerprint);
}
