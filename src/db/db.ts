import type { PgDatabase, PgQueryResultHKT, PgTransaction } from "drizzle-orm/pg-core";
import type { ExtractTablesWithRelations } from "drizzle-orm";
import type * as schema from "./schema.ts";

/** The service's database, whichever driver is behind it. */
export type Database = PgDatabase<PgQueryResultHKT, typeof schema>;

/**
 * An open transaction. Whatever runs inside one takes it as an argument: on PGlite a query beside an open transaction waits for it
 * to end, so inside it would wait for ever.
 */
export type Transaction = PgTransaction<PgQueryResultHKT, typeof schema, ExtractTablesWithRelations<typeof schema>>;

/** A database and what only its driver can do. */
export interface OpenDatabase {
  readonly db: Database;
  /** Calls `notify` after every NOTIFY on the channel, until the returned function is called. Notifications may be lost: poll too. */
  listen(channel: string, notify: () => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
