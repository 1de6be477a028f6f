import { randomBytes } from "node:crypto";
import { link, open, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Ends the name of a file that is still being written. */
export const UNFINISHED = ".tmp";

/**
 * Writes a file (0600) that must not exist yet; false if it does. Whole and durable once it resolves: a crash leaves it absent or whole,
 * and perhaps an unfinished file beside it.
 */
export async function writeNewFile(file: string, bytes: Uint8Array): Promise<boolean> {
  const unfinished = `${file}.${randomBytes(6).toString("hex")}${UNFINISHED}`;
  try {
    const handle = await open(unfinished, "wx", 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      // Unlike rename, link refuses an existing name.
      await link(unfinished, file);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  } finally {
    await rm(unfinished, { force: true });
  }
  await syncFolder(dirname(file));
  return true;
}

/** Makes the names in a folder durable: what was created, renamed or removed in it. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The code of a system error, e.g. `ENOENT`; undefined for any other. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
