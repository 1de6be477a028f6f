import { readdir, readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, writeNewFile } from "../backends/durable-file.ts";
import { StartError } from "../start-error.ts";

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

/** A folder that this process has for itself. */
export interface FolderLock {
  /** Lets another process have it. */
  release(): Promise<void>;
}

/** Each time in vain somebody else has taken or left the folder meanwhile. */
const ATTEMPTS = 5;
const NAME = /^lock\.(\d{1,15})$/;

/**
 * Takes the folder, which must exist, unless a live process has it. Node has no file locks, so there is a file for each owner, `lock.1`, `lock.2`, …,
 * of which the highest counts. Whoever finds that its owner is gone makes the next one, which only one process can do. The highest is never
 * removed, only emptied when its owner leaves: if it were, a slow starter that had seen it could make the next one beside a new owner.
 * @throws DataFolderLockedError
 */
export async function lockFolder(path: string): Promise<FolderLock> {
  const mine = Buffer.from(`${process.pid} ${await processStart(process.pid)}\n`);
  let owner = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const last = Math.max(0, ...(await locks(path)));
    const content = last === 0 ? "" : await readFile(fileOf(path, last), "utf8").catch(ignoreMissing);
    if (content === undefined) continue; // there is a higher one by now
    const [pid = "", start = ""] = content.trim().split(" ");
    owner = /^\d+$/.test(pid) ? Number(pid) : 0;
    if (owner !== 0 && (await isAlive(owner, start))) break;
    const own = fileOf(path, last + 1);
    if (!(await writeNewFile(own, mine))) continue;
    const all = await locks(path);
    if (Math.max(...all) > last + 1) {
      await rm(own, { force: true }); // it had been there before, and its owner gone
      continue;
    }
    for (const old of all) if (old <= last) await rm(fileOf(path, old), { force: true });
    return { release: () => truncate(own).catch(ignoreMissing) };
  }
  throw new DataFolderLockedError(path, owner);
}

async function locks(path: string): Promise<number[]> {
  return (await readdir(path)).flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
}

function fileOf(path: string, number: number): string {
  return join(path, `lock.${number}`);
}

async function isAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) === "EPERM"; // it runs, as somebody else
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

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
