import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { join } from "node:path";

/**
 * Has a process killed when this one ends, in whatever way.
 * @returns to be called when it ended by itself
 */
export function reapedProcess(pid: number): () => void {
  return reaped({ pid });
}

/**
 * Has a folder removed when this process ends, in whatever way.
 * @returns to be called when it was removed
 */
export function reapedFolder(folder: string): () => void {
  return reaped({ folder });
}

/** One for this process, as it has one end. */
let reaper: Writable | undefined;

function reaped(what: { pid: number } | { folder: string }): () => void {
  reaper ??= startReaper();
  const tell = (over: boolean): void => void reaper?.write(`${JSON.stringify({ ...what, over })}\n`);
  tell(false);
  return () => tell(true);
}

function startReaper(): Writable {
  const child = spawn(process.execPath, [join(import.meta.dirname, "reaper.ts")], {
    stdio: ["pipe", "ignore", "inherit"],
    // Out of reach of a Ctrl-C, which would end it before its work begins.
    detached: true,
  });
  child.unref();
  // A pipe, which has unref though its type doesn't say so: the test process must not wait for its reaper.
  (child.stdin as Writable & { unref(): void }).unref();
  return child.stdin;
}
