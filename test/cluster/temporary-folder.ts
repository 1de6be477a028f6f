import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reapedFolder } from "./reaped.ts";
import type { SystemUser } from "./system-user.ts";

/** A folder that is removed when it is told to, or at the latest with this process. */
export interface TemporaryFolder {
  readonly path: string;
  readonly remove: () => Promise<void>;
}

/** @param user whom it shall belong to, when not to ourselves */
export async function temporaryFolder(name: string, user?: SystemUser): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `operators-${name}-`));
  const removed = reapedFolder(path);
  if (user !== undefined) await chown(path, user.uid, user.gid);
  return {
    path,
    remove: async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
      removed();
    },
  };
}
