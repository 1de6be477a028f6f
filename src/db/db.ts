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

/** A database, by the ways there are to it. With one connection in all (embedded) they are the same. */
export interface OpenDatabase {
  /** The primary: everything that writes, or must see the newest. */
  readonly db: Database;
  /** The primary, over a connection that nothing else uses: writers can't starve the tail. */
  readonly tail: Database;
  /** The standby by itself, which may lag or be away; undefined without one. */
  readonly replica: Database | undefined;
  /**
   * Runs `work` in one read-only snapshot: of the standby, if there is one that answers and `fits` accepts what it holds; else of the
   * primary. `fits` is asked inside the standby's snapshot, never the primary's. `work` may begin on the standby, fail there with it,
   * and run again on the primary: it must not matter how often it began.
   */
  readSnapshot<T>(work: (tx: Transaction) => Promise<T>, fits: (tx: Transaction) => Promise<boolean>): Promise<T>;
  /**
   * Calls `notify` after every NOTIFY on the channel and after every interruption, until the returned function is called.
   * Notifications may be lost: poll too.
   */
  listen(channel: string, notify: () => void): Promise<() => Promise<void>>;
  /**
   * Takes a lock that one process of all can hold; undefined when another has it. It is lost with its connection, so that
   * two processes may believe for a while that they hold it: what it guards must bear that.
   */
  tryLock(name: string): Promise<HeldLock | undefined>;
  /** Ends every connection to the primary: it turned out to be a standby, or another server. The next call connects anew. */
  dropPrimary(): void;
  close(): Promise<void>;
}

/** A lock across processes. */
export interface HeldLock {
  /** Aborted when the lock is lost. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}
