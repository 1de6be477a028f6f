import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { migrate } from "drizzle-orm/pglite/migrator";
import type { OpenDatabase } from "./db.ts";
import { migrateDatabase } from "./migrate.ts";
import * as schema from "./schema.ts";

/**
 * Opens PostgreSQL inside this process, with its files in the folder, and migrates it. Only one process may do so at a time: two
 * would diverge silently, so the caller holds the data folder's lock. A commit survives the process's death by any signal.
 */
export async function openEmbeddedDatabase(folder: string): Promise<OpenDatabase> {
  const client = await PGlite.create({ dataDir: folder, relaxedDurability: false });
  try {
    const db = drizzle({ client, schema });
    await migrateDatabase(db, (config) => migrate(db, config));
    return {
      db,
      tail: db,
      replica: undefined,
      readSnapshot: (work) => db.transaction(work, { isolationLevel: "repeatable read", accessMode: "read only" }),
      listen: (channel, notify) => client.listen(channel, () => notify()),
      // The data folder's lock keeps every other process away.
      tryLock: () => Promise.resolve({ lost: new AbortController().signal, release: () => Promise.resolve() }),
      dropPrimary: () => undefined,
      close: async () => {
        if (!client.closed) await client.close();
      },
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}
