import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeNewFile } from "../backends/durable-file.ts";
import { StartError } from "../start-error.ts";

/** The embedded profile's folder, owned by this process until it is closed. */
export interface DataFolder {
  readonly path: string;
  /** The bearer token of `local-admin`, from `admin-token` (0600), made at first start. */
  readonly adminToken: string;
  readonly adminTokenFile: string;
  /** Gives the folder free for another process. */
  close(): Promise<void>;
}

/** Another live process has the folder: two on one database diverge silently, so the second must not start. */
export class DataFolderLockedError extends StartError {
  /** The process that has it. */
  readonly pid: number;

  constructor(path: string, pid: number) {
    super(
      `${path} is in use by process ${pid}. Stop that process, or give this one its own folder and ports: ` +
        `OPS_DATA_DIR=.data2 OPS_PORT=3021 OPS_METRICS_PORT=9465 npm start`,
    );
    this.pid = pid;
  }
}

/**
 * Opens the folder (creating it, 0700) and locks it against a second process. The lock of a process that no longer runs is taken over.
 * @throws DataFolderLockedError
 */
export async function openDataFolder(path: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const lockFile = join(path, "lock");
  await takeLock(path, lockFile);
  try {
    const adminTokenFile = join(path, "admin-token");
    const adminToken = await readOrCreateToken(adminTokenFile);
    return { path, adminToken, adminTokenFile, close: () => rm(lockFile, { force: true }) };
  } catch (error) {
    await rm(lockFile, { force: true });
    throw error;
  }
}

async function takeLock(path: string, lockFile: string): Promise<void> {
  const mine = `${process.pid} ${await processStart(process.pid)}\n`;
  // Twice: once for the free folder, once more after a dead owner's lock was removed.
  for (let attempt = 0; attempt < 2; attempt++) {
    if (await writeNewFile(lockFile, Buffer.from(mine))) return;
    const owner = await readFile(lockFile, "utf8").catch(ignoreMissing);
    if (owner === undefined) continue;
    const [pid = "", start = ""] = owner.trim().split(" ");
    if (/^\d+$/.test(pid) && (await isAlive(Number(pid), start))) throw new DataFolderLockedError(path, Number(pid));
    await reap(lockFile, owner);
  }
  const owner = await readFile(lockFile, "utf8").catch(ignoreMissing);
  throw new DataFolderLockedError(path, Number(owner?.split(" ")[0] ?? 0));
}

/** Removes a dead owner's lock, and only that one: between reading it and now another starter may have put its own in place. */
async function reap(lockFile: string, deadOwner: string): Promise<void> {
  const aside = `${lockFile}.${process.pid}`;
  try {
    await rename(lockFile, aside);
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException); // another starter reaped it first
    return;
  }
  if ((await readFile(aside, "utf8")) !== deadOwner) await link(aside, lockFile);
  await rm(aside);
}

async function isAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it runs, as somebody else
  }
  const now = await processStart(pid);
  // A pid is used again after a reboot or a day; its start time tells the two apart.
  return now === "unknown" || start === "unknown" || now === start;
}

/** When a process started, in clock ticks since boot, and which boot; "unknown" where there is no /proc. */
async function processStart(pid: number): Promise<string> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile("/proc/sys/kernel/random/boot_id", "utf8"),
    ]);
    // Field 22; the second field (the name) may hold spaces and parentheses, so count from its end.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${ticks ?? "unknown"}@${boot.trim()}`;
  } catch {
    return "unknown"; // not Linux, or the process is gone: the pid alone decides
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

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
