import { fileURLToPath } from "node:url";
import { desc, sql } from "drizzle-orm";
import { readMigrationFiles, type MigrationConfig } from "drizzle-orm/migrator";
import { bigint, pgSchema } from "drizzle-orm/pg-core";
import type { Database } from "./db.ts";

const MIGRATIONS = fileURLToPath(new URL("../../migrations", import.meta.url));

/** Where Drizzle's migrator notes what it has applied. */
const applied = pgSchema("drizzle").table("__drizzle_migrations", {
  createdAt: bigint("created_at", { mode: "number" }).notNull(),
});

/**
 * Brings the database to this release's schema with the driver's own migrator; a database that is there already costs one query.
 * Throws when a newer release has migrated it: this one would not know its tables.
 */
export async function migrateDatabase(
  db: Database,
  migrate: (config: MigrationConfig) => Promise<void>,
): Promise<void> {
  const known = readMigrationFiles({ migrationsFolder: MIGRATIONS }).at(-1)?.folderMillis ?? 0;
  const current = await lastApplied(db);
  if (current > known) {
    throw new Error(
      "the database was migrated by a newer release of the service; start that release, or restore an older copy",
    );
  }
  if (current < known) await migrate({ migrationsFolder: MIGRATIONS });
}

async function lastApplied(db: Database): Promise<number> {
  const [present] = await db
    .select({ table: sql<string | null>`to_regclass('drizzle.__drizzle_migrations')::text` })
    .from(sql`(values (1)) as one`);
  if ((present?.table ?? null) === null) return 0;
  const [last] = await db.select().from(applied).orderBy(desc(applied.createdAt)).limit(1);
  return last?.createdAt ?? 0;
}
