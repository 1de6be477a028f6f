import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { openEmbeddedDatabase } from "./db/embedded-database.ts";
import { DataFolderLockedError, openDataFolder, type DataFolder } from "./embedded/data-folder.ts";
import { verifyHistory } from "./history/verify.ts";
import { StartError } from "./start-error.ts";

/**
 * Checks the whole history of a service that is stopped: the chain of fingerprints and every row derived from it, as VerifyHistory does on
 * a running one.
 * @throws StartError when the folder is in use, or isn't there
 */
export async function verifyDataFolder(config: Pick<Config, "dataDir">): Promise<{ text: string; valid: boolean }> {
  const path = join(config.dataDir, "postgres");
  // Opening would create what isn't there, and find nothing wrong with it.
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere)
    throw new StartError(`${path} doesn't exist: there is nothing to verify. OPS_DATA_DIR names the folder`);
  const folder = await openUnused(config.dataDir);
  try {
    const database = await openEmbeddedDatabase(path);
    try {
      const { problems, revisions, operators, position } = await verifyHistory(database.db);
      const head = Buffer.from(position?.fingerprint ?? []).toString("hex");
      const lines = problems.map(
        ({ table, revisionId, operatorUid, text }) =>
          `${table} ${[revisionId && `revision ${revisionId}`, operatorUid].filter(Boolean).join(" ")}: ${text}`,
      );
      const verdict = problems.length === 0 ? "everything fits" : `${problems.length} problems`;
      const summary = `${revisions} revisions, ${operators} operators: ${verdict}; the head's fingerprint is ${head}`;
      return { text: `${[...lines, summary].join("\n")}\n`, valid: problems.length === 0 };
    } finally {
      await database.close();
    }
  } finally {
    await folder.close();
  }
}

async function openUnused(dataDir: string): Promise<DataFolder> {
  try {
    return await openDataFolder(dataDir);
  } catch (error) {
    if (!(error instanceof DataFolderLockedError)) throw error;
    throw new StartError(
      `${dataDir} is in use by process ${error.pid}. Stop that process first, or call VerifyHistory on the running service`,
      { cause: error },
    );
  }
}
