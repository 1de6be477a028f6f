// A test runner that is about to be killed: starts servers, tells what must not outlive it, and waits.
import { descendants } from "./process-tree.ts";
import { startPostgres } from "./postgres.ts";

const postgres = await startPostgres({ replica: false });
const { pid } = postgres.primary.server;
process.stdout.write(`${JSON.stringify({ pids: [pid, ...descendants(pid)], folder: postgres.primary.dataDir })}\n`);
setInterval(() => {}, 60_000);
