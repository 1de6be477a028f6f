// A process that outlives the test process by a moment: once its standard input ends, however that came about (also by
// kill -9), it kills every server that was still running and removes every folder that was still there.
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { signalTree } from "./process-tree.ts";

const pids = new Set<number>();
const folders = new Set<string>();

for await (const line of createInterface({ input: process.stdin })) {
  const { pid, folder, over } = JSON.parse(line) as { pid?: number; folder?: string; over: boolean };
  if (pid !== undefined)
    if (over) pids.delete(pid);
    else pids.add(pid);
  if (folder !== undefined)
    if (over) folders.delete(folder);
    else folders.add(folder);
}
for (const pid of pids) signalTree(pid, "SIGKILL");
for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
