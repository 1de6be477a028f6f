import { asc, sql } from "drizzle-orm";
import { bigint, pgSchema, text } from "drizzle-orm/pg-core";
import type { Database } from "./db.ts";
import { migrationFiles, type MigrationFile } from "./migration-files.ts";

/** What was applied to this database. Drizzle's own table and format, and one column more. */
export const appliedMigration = pgSchema("drizzle").table("__drizzle_migrations", {
  hash: text().notNull(),
  createdAt: bigint("created_at", { mode: "number" }).notNull(),
  /** Why releases that don't know this migration can't run any more; null when they can. */
  breaking: text(),
});

/** Whether this release can run on the database's schema, and if not, what to do. */
export type SchemaCheck =
  | { readonly state: "ok" }
  | { readonly state: "too old"; readonly text: string }
  | { readonly state: "newer and breaking"; readonly text: string };

/**
 * Migrations only add until no release needs the old, so an older release runs on a newer schema: only one that is marked as breaking
 * keeps it out. Changes nothing.
 */
export async function checkSchema(
  db: Database,
  known: readonly MigrationFile[] = migrationFiles(),
): Promise<SchemaCheck> {
  const applied = await readApplied(db);
  const unknown = applied.filter(({ createdAt }) => known.every(({ madeAt }) => madeAt !== createdAt));
  const breaking = unknown.find((migration) => migration.breaking !== null)?.breaking;
  if (breaking !== undefined) {
    const text = `the database was migrated by a newer release of the service, and this one can't run on it any more (${breaking}); start that release, or restore an older copy`;
    return { state: "newer and breaking", text };
  }
  const missing = missingFrom(applied, known);
  if (missing.length === 0) return { state: "ok" };
  const text = `the database lacks ${missing.length} of this release's migrations, first ${missing[0]?.tag}; run the migrate command as the database's owner`;
  return { state: "too old", text };
}

/** This release can't run on the database's schema; the text says what to do. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/** @throws SchemaError where `checkSchema` finds that this release can't run */
export async function requireSchema(db: Database): Promise<void> {
  const check = await checkSchema(db);
  if (check.state !== "ok") throw new SchemaError(check.text);
}

/** The known migrations that weren't applied yet, in order. */
export function missingFrom(
  applied: readonly { readonly createdAt: number }[],
  known: readonly MigrationFile[],
): readonly MigrationFile[] {
  const present = new Set(applied.map(({ createdAt }) => createdAt));
  return known.filter(({ madeAt }) => !present.has(madeAt));
}

/** What was applied; nothing where no `migrate` of this kind has ever run. */
export async function readApplied(db: Database): Promise<readonly (typeof appliedMigration.$inferSelect)[]> {
  if (!(await hasBreakingColumn(db))) return [];
  return db.select().from(appliedMigration).orderBy(asc(appliedMigration.createdAt));
}

/** The first release's table lacks it, and so does none at all. */
export async function hasBreakingColumn(db: Database): Promise<boolean> {
  const [row] = await db
    .select({
      present: sql<boolean>`exists (select from pg_attribute where attrelid = to_regclass('drizzle.__drizzle_migrations') and attname = 'breaking')`,
    })
    .from(sql`(values (1)) as one`);
  return row?.present === true;
}
