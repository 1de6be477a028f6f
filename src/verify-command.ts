import { access } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { passwordFromFile } from "./backends/secrets/password-source.ts";
import type { EmbeddedConfig, PostgresConfig } from "./config.ts";
import { openClusterDatabase } from "./db/cluster-database.ts";
import type { Database } from "./db/db.ts";
import { openEmbeddedDatabase } from "./db/embedded-database.ts";
import { openDataFolder, type DataFolder } from "./embedded/data-folder.ts";
import { DataFolderLockedError } from "./embedded/folder-lock.ts";
import { verifyHistory } from "./history/verify.ts";
import { StartError } from "./start-error.ts";

/** What was found, one line each, and a summary. */
export interface Verdict {
  readonly text: string;
  readonly valid: boolean;
}

/**
 * Checks the whole history of a service that is stopped: the chain of fingerprints and every row derived from it, as VerifyHistory does on
 * a running one.
 * @throws StartError when the folder is in use, or isn't there
 */
export async function verifyDataFolder({ dataDir }: Pick<EmbeddedConfig, "dataDir">): Promise<Verdict> {
  const path = join(dataDir, "postgres");
  // Opening would create what isn't there, and find nothing wrong with it.
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere)
    throw new StartError(`${path} doesn't exist: there is nothing to verify. OPS_DATA_DIR names the folder`);
  const folder = await openUnused(dataDir);
  try {
    const database = await openEmbeddedDatabase(path);
    try {
      return await verdictOn(database.db);
    } finally {
      await database.close();
    }
  } finally {
    await folder.close();
  }
}

/** The same for a database server, whether services use it or not: it is read in one snapshot. */
export async function verifyDatabase({ url, password }: PostgresConfig): Promise<Verdict> {
  const database = openClusterDatabase({
    primary: url,
    password: password?.from === "file" ? passwordFromFile(password.path) : undefined,
    logger: pino({ level: "silent" }),
  });
  try {
    return await verdictOn(database.tail);
  } finally {
    await database.close();
  }
}

async function verdictOn(db: Database): Promise<Verdict> {
  const { problems, revisions, operators, position } = await verifyHistory(db);
  const head = Buffer.from(position?.fingerprint ?? []).toString("hex");
  const lines = problems.map(
    ({ table, revisionId, operatorUid, text }) =>
      `${table} ${[revisionId && `revision ${revisionId}`, operatorUid].filter(Boolean).join(" ")}: ${text}`,
  );
  const verdict = problems.length === 0 ? "everything fits" : `${problems.length} problems`;
  const summary = `${revisions} revisions, ${operators} operators: ${verdict}; the head's fingerprint is ${head}`;
  return { text: `${[...lines, summary].join("\n")}\n`, valid: problems.length === 0 };
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
