import { sql } from "drizzle-orm";
import type { Database, Transaction } from "./db.ts";
import { migrationFiles, type MigrationFile } from "./migration-files.ts";
import { appliedMigration, checkSchema, hasBreakingColumn, missingFrom, readApplied } from "./schema-level.ts";

/** Any number that nothing else in the database takes as its advisory lock's key. */
const MIGRATING = 0x6f70_735f_6d69;

/** How long a statement may wait for a table that is in use: everybody who comes later waits behind it. */
const TABLE_LOCK_MS = 10_000;

/** The database was migrated by a release that this one can't follow; the text says what to do. */
export class NewerSchemaError extends Error {
  constructor(text: string) {
    super(text);
    this.name = "NewerSchemaError";
  }
}

/**
 * Brings the database to this release's schema, all of it or nothing, and returns what it applied. Two at once are safe: one waits for the other and
 * finds nothing to do. `alsoDo` runs in the same transaction.
 * @throws NewerSchemaError
 */
export async function migrateDatabase(
  db: Database,
  {
    known = migrationFiles(),
    alsoDo,
  }: { readonly known?: readonly MigrationFile[]; readonly alsoDo?: (tx: Transaction) => Promise<void> } = {},
): Promise<readonly MigrationFile[]> {
  return db.transaction(async (tx) => {
    // First and alone: what the other did is then seen by the statements after it.
    await tx.execute(sql`select pg_advisory_xact_lock(${sql.raw(String(MIGRATING))})`);
    await tx.execute(sql.raw(`set local lock_timeout = ${TABLE_LOCK_MS}`));
    await ensureTable(tx);
    const check = await checkSchema(tx, known);
    if (check.state === "newer and breaking") throw new NewerSchemaError(check.text);
    const missing = missingFrom(await readApplied(tx), known);
    for (const migration of missing) await apply(tx, migration);
    await alsoDo?.(tx);
    return missing;
  });
}

async function apply(tx: Transaction, { madeAt, hash, breaking, statements }: MigrationFile): Promise<void> {
  for (const statement of statements) await tx.execute(sql.raw(statement));
  await tx.insert(appliedMigration).values({ hash, createdAt: madeAt, breaking: breaking ?? null });
}

/** As Drizzle's own migrator makes it; the first release used that. */
async function ensureTable(tx: Transaction): Promise<void> {
  if (await hasBreakingColumn(tx)) return;
  await tx.execute(sql`create schema if not exists drizzle`);
  await tx.execute(
    sql`create table if not exists drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
  );
  await tx.execute(sql`alter table drizzle.__drizzle_migrations add column breaking text`);
}
