import { cpSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import type { OpenDatabase } from "../../src/db/db.ts";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";

/** Names a folder of PostgreSQL's files as `initdb` leaves them, without our schema; unset where `setup` below wasn't run. */
const VARIABLE = "OPS_TEST_PREPARED_POSTGRES";

/** Before all tests: within a process `initdb` takes a core for seconds, so it is done once, and the tests copy what it made. */
export async function setup(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "prepared-postgres-"));
  const client = await PGlite.create({ dataDir: folder });
  await client.close();
  process.env[VARIABLE] = folder;
}

export async function teardown(): Promise<void> {
  const folder = process.env[VARIABLE];
  if (folder !== undefined) await rm(folder, { recursive: true });
}

/** Fills the folder, which must not exist yet, so that the service's database opens there at once. */
export function copyPreparedPostgres(folder: string): void {
  const prepared = process.env[VARIABLE];
  // A thousand files, for which `cp` needs five times as long.
  if (prepared !== undefined) cpSync(prepared, folder, { recursive: true });
}

/** The embedded profile's database, migrated and empty, in a folder that goes away when it is closed. */
export async function openPreparedDatabase(): Promise<OpenDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "postgres-"));
  const path = join(folder, "postgres");
  copyPreparedPostgres(path);
  const database = await openEmbeddedDatabase(path);
  return {
    ...database,
    close: async () => {
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
