import { sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import type { Origin } from "./place.ts";

/**
 * Tells which server the transaction reads; not to be asked of a standby. Undefined where the service may not know, as with some providers:
 * then a former primary that is still writable can't be told from its successor.
 */
export async function readOrigin(tx: Transaction): Promise<Origin | undefined> {
  // A call that isn't allowed would end the transaction, even in a branch that isn't taken.
  const allowed = await tx.execute(sql`
    select has_function_privilege('pg_control_system()', 'execute')
       and has_function_privilege('pg_walfile_name(pg_lsn)', 'execute')
       and has_function_privilege('pg_current_wal_lsn()', 'execute') as allowed`);
  if (rowsOf<{ allowed: boolean }>(allowed)[0]?.allowed !== true) return undefined;
  // The name of a segment begins with the timeline; the control file's own timeline is that of the last checkpoint, perhaps before a promotion.
  const known = await tx.execute(sql`
    select system_identifier::text as system, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline
      from pg_control_system()`);
  const [row] = rowsOf<{ system: string; timeline: string }>(known);
  return row && { system: row.system, timeline: Number.parseInt(row.timeline, 16) };
}

/** Both drivers answer with rows, and Drizzle has no common type for it. */
function rowsOf<T>(result: unknown): readonly T[] {
  return (result as { readonly rows: readonly T[] }).rows;
}
