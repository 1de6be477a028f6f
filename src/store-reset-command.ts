import { sql } from "drizzle-orm";
import { onDatabase, type OwnedDatabase } from "./database-command.ts";
import { APPLICATION_NAME } from "./db/cluster-database.ts";
import type { Database } from "./db/db.ts";
import { readHead } from "./history/head.ts";
import { resetStore, StoreResetError } from "./history/reset-store.ts";

export interface StoreResetOptions extends OwnedDatabase {
  /** The person knows what it does. */
  readonly yes: boolean;
  /** Although services are connected. */
  readonly force: boolean;
  readonly print: (text: string) => void;
}

/**
 * For a restored copy of a database, before a service may use it: without this it would pass for the original, whose tokens, nodes and streams it
 * would take for its own.
 * @throws StartError that says what to do; then nothing was changed
 */
export async function storeResetCommand({ yes, force, print, ...database }: StoreResetOptions): Promise<void> {
  await onDatabase(database, "store reset", async (db) => {
    const { position } = await readHead(db);
    const present = `store ${hex(position.store)} at revision ${position.revision}`;
    const sessions = await serviceSessions(db);
    if (sessions > 0 && !force) {
      throw new StoreResetError(
        `${present} is in use by ${sessions} sessions of services: stop them first; --force resets it all the same, and they load everything again`,
      );
    }
    if (!yes) {
      throw new StoreResetError(
        `${present} would get a new id: every watch and every node starts over, and repeated requests are done again. This is for copies, never for the original; repeat with --yes`,
      );
    }
    const { before, after } = await db.transaction(resetStore);
    print(`was store ${hex(before.store)}, fingerprint ${hex(before.fingerprint)}\n`);
    print(
      `now store ${hex(after.store)}, fingerprint ${hex(after.fingerprint)}, still at revision ${after.revision}\n`,
    );
  });
}

async function serviceSessions(db: Database): Promise<number> {
  const [row] = await db
    .select({ count: sql<number>`count(*)`.mapWith(Number) })
    .from(sql`pg_stat_activity`)
    .where(
      sql`datname = current_database() and pid <> pg_backend_pid() and starts_with(application_name, ${APPLICATION_NAME})`,
    );
  return row?.count ?? 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
