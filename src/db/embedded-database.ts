import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import type { OpenDatabase } from "./db.ts";
import { migrateDatabase } from "./migrate.ts";
import { checkSchema } from "./schema-level.ts";
import * as schema from "./schema.ts";

/**
 * Opens PostgreSQL inside this process, with its files in the folder, and migrates it. Only one process may do so at a time: two
 * would diverge silently, so the caller holds the data folder's lock. A commit survives the process's death by any signal.
 */
export async function openEmbeddedDatabase(folder: string): Promise<OpenDatabase> {
  const client = await PGlite.create({ dataDir: folder, relaxedDurability: false });
  try {
    const db = drizzle({ client, schema });
    // Nobody else uses it: what is asked here still holds when it is done.
    if ((await checkSchema(db)).state !== "ok") await migrateDatabase(db);
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
