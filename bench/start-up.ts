// Start to ready and resident memory of the service: `node --conditions=source bench/start-up.ts`.
// Beside it, as the baseline on the same machine in the same minute, the start of Node alone.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const RUNS = 5;
const ROOT = join(import.meta.dirname, "..");

interface Start {
  readonly readyMs: number;
  readonly residentMiB: number;
}

async function start(dataDir: string): Promise<Start> {
  const began = performance.now();
  const service = spawn(process.execPath, ["--conditions=source", "src/main.ts"], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      OPS_DATA_DIR: dataDir,
      OPS_PORT: "0",
      OPS_METRICS_PORT: "0",
      OPS_LOG_FORMAT: "json",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(service, "exit");
  for await (const line of createInterface({ input: service.stdout })) {
    if ((JSON.parse(line) as { ready?: boolean }).ready === true) break;
  }
  const readyMs = performance.now() - began;
  const status = await readFile(`/proc/${service.pid}/status`, "utf8").catch(() => "");
  const residentMiB = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
  service.kill("SIGTERM");
  await exited;
  return { readyMs, residentMiB };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function report(what: string, starts: readonly Start[], baselineMs: number): void {
  const ms = median(starts.map(({ readyMs }) => readyMs));
  const mib = median(starts.map(({ residentMiB }) => residentMiB));
  const ratio = (ms / baselineMs).toFixed(0);
  console.log(`${what.padEnd(28)} ${ms.toFixed(0)} ms (${ratio} × Node alone), ${mib.toFixed(0)} MiB resident`);
}

const folders = await Promise.all(Array.from({ length: RUNS }, () => mkdtemp(join(tmpdir(), "start-up-"))));
try {
  const baseline: number[] = [];
  const first: Start[] = [];
  const again: Start[] = [];
  for (const folder of folders) {
    const began = performance.now();
    execFileSync(process.execPath, ["--eval", ""]);
    baseline.push(performance.now() - began);
    first.push(await start(folder));
    again.push(await start(folder));
  }
  console.log(`medians of ${RUNS} runs; Node alone starts and ends in ${median(baseline).toFixed(0)} ms`);
  report("first start (new database)", first, median(baseline));
  report("later start", again, median(baseline));
} finally {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
}
