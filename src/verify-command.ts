import type { Config } from "./config.ts";
import { openEmbeddedDatabase } from "./db/embedded-database.ts";
import { openDataFolder } from "./embedded/data-folder.ts";
import { verifyHistory } from "./history/verify.ts";
import { join } from "node:path";

/**
 * Checks the whole history of a service that is stopped: the chain of fingerprints and every row derived from it, as VerifyHistory does on
 * a running one.
 * @throws StartError when the folder is in use
 */
export async function verifyDataFolder(config: Pick<Config, "dataDir">): Promise<{ text: string; valid: boolean }> {
  const folder = await openDataFolder(config.dataDir);
  try {
    const database = await openEmbeddedDatabase(join(folder.path, "postgres"));
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
