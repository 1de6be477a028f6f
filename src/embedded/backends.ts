import { join } from "node:path";
import type { Logger } from "pino";
import { EmbeddedSecretStore } from "../backends/secrets/embedded-secret-store.ts";
import { SecretKeyError } from "../backends/secrets/secret-key.ts";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { OpenDatabase } from "../db/db.ts";
import { openEmbeddedDatabase } from "../db/embedded-database.ts";
import { StartError } from "../start-error.ts";
import type { DataFolder } from "./data-folder.ts";

/** The secret store in the folder. @throws StartError that says what to do about its key */
export async function openSecrets(folder: DataFolder): Promise<SecretStore> {
  try {
    return await EmbeddedSecretStore.open(folder.path);
  } catch (error) {
    // Its text says what to do about the key.
    if (error instanceof SecretKeyError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}

/** PostgreSQL in the folder. @throws StartError */
export async function openDatabase(folder: DataFolder, logger: Logger): Promise<OpenDatabase> {
  const path = join(folder.path, "postgres");
  // The first start makes a database, which takes seconds: a person should know what is being waited for.
  logger.info({ path }, "opening the database (the first start creates it, which takes a few seconds)");
  try {
    return await openEmbeddedDatabase(path);
  } catch (cause) {
    throw new StartError(
      `the database in ${path} can't be opened. If it is not worth keeping, move ${folder.path} away and start again`,
      { cause },
    );
  }
}
