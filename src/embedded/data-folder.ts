import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeNewFile } from "../backends/durable-file.ts";
import { StartError } from "../start-error.ts";
import { lockFolder } from "./folder-lock.ts";

/** The embedded profile's folder, owned by this process until it is closed. */
export interface DataFolder {
  readonly path: string;
  /** The bearer token of `local-admin`, from `admin-token` (0600), made at first start. */
  readonly adminToken: string;
  readonly adminTokenFile: string;
  /** Gives the folder free for another process. */
  close(): Promise<void>;
}

/**
 * Opens the folder (creating it, 0700) and locks it against a second process. The lock of a process that no longer runs is taken over.
 * @throws DataFolderLockedError
 */
export async function openDataFolder(path: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(path);
  try {
    const adminTokenFile = join(path, "admin-token");
    const adminToken = await readOrCreateToken(adminTokenFile);
    return { path, adminToken, adminTokenFile, close: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function readOrCreateToken(file: string): Promise<string> {
  await writeNewFile(file, Buffer.from(`${randomBytes(32).toString("base64url")}\n`));
  const token = (await readFile(file, "utf8")).trim();
  if (!/^[\x21-\x7e]{16,}$/.test(token)) {
    throw new StartError(`${file} holds no usable token (16 or more printable characters); delete it and start again`);
  }
  return token;
}
