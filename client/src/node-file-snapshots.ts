import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { SnapshotStore } from "./snapshot-saver.ts";

/**
 * Keeps a catalog's snapshot in this file: readable by its owner only, replaced as a whole. Its folder is made if it isn't there. Two
 * processes must not share a file.
 */
export function fileSnapshots(file: string): SnapshotStore {
  return {
    async read() {
      try {
        return await readFile(file);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
      }
    },
    async write(bytes) {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      const next = `${file}.${process.pid}.new`;
      try {
        const handle = await open(next, "w", 0o600);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(next, file);
      } catch (error) {
        await rm(next, { force: true });
        throw error;
      }
      // The new name must outlast a power cut too.
      const folder = await open(dirname(file));
      await folder.sync().finally(() => folder.close());
    },
  };
}
