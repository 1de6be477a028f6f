import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { reapedProcess } from "../test/cluster/reaped.ts";
import type { Figure } from "./figure.ts";
import { memoryOf } from "./process-memory.ts";
import { OPERATORS, ROUNDS, type Scene } from "./scene.ts";
import { seed } from "./seed.ts";
import { median } from "./statistics.ts";

const SIZES = [OPERATORS, 5_000, 50_000];
/** What is asked for is the memory of a process at rest. */
const REST_MS = 2_000;

interface Start {
  readonly readyMs: number;
  readonly residentMiB: number;
  readonly highestMiB: number;
}

/** From the start of the process until it is ready, and its memory then, by number of operators. Adds operators to the service's database. */
export async function startUp({ cluster, pod, say }: Scene): Promise<Figure[]> {
  const figures: Figure[] = [];
  const { serviceUrl } = cluster.postgres;
  let present = OPERATORS;
  for (const size of SIZES) {
    if (size > present) {
      say(`adding operators, up to ${size}`);
      await seed(serviceUrl, present, size, say);
      present = size;
    }
    const service: Start[] = [];
    const baseline: Start[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      await pod.stop();
      baseline.push(await startLoader(serviceUrl));
      const began = performance.now();
      await pod.restart();
      const readyMs = performance.now() - began;
      await setTimeout(REST_MS);
      service.push({ readyMs, ...(await memoryOf(pod.service.process.pid ?? -1)) });
      say(`${size} operators, round ${round}: service ${textOf(service.at(-1))}; bare ${textOf(baseline.at(-1))}`);
    }
    figures.push(...figuresOf(size, service, baseline));
  }
  return figures;
}

async function startLoader(databaseUrl: string): Promise<Start> {
  const began = performance.now();
  const child = fork(join(import.meta.dirname, "bare-loader.ts"));
  const exited = once(child, "exit");
  const pid = child.pid ?? -1;
  void exited.then(reapedProcess(pid));
  child.send(databaseUrl);
  await once(child, "message");
  const readyMs = performance.now() - began;
  await setTimeout(REST_MS);
  const memory = await memoryOf(pid);
  child.kill();
  await exited;
  return { readyMs, ...memory };
}

function figuresOf(size: number, service: readonly Start[], baseline: readonly Start[]): Figure[] {
  const figure = (what: string, unit: string, of: (start: Start) => number, how: string): Figure => ({
    what: `${size.toLocaleString("en")} operators: ${what}`,
    unit,
    more: false,
    service: median(service.map(of)),
    baseline: median(baseline.map(of)),
    how,
  });
  const bare = "a bare Node process that reads the same rows with pg in one query and keeps their bytes";
  const rest = `${REST_MS / 1_000} s after ready, from /proc`;
  return [
    figure("start to ready", "ms", ({ readyMs }) => readyMs, `${bare}; both from the start of the process`),
    figure("resident memory", "MiB", ({ residentMiB }) => residentMiB, `the same process; ${rest}`),
    figure("highest resident memory", "MiB", ({ highestMiB }) => highestMiB, `the same process; ${rest}`),
  ];
}

function textOf(start: Start | undefined): string {
  if (start === undefined) return "";
  const { readyMs, residentMiB, highestMiB } = start;
  return `${readyMs.toFixed(0)} ms, ${residentMiB.toFixed(0)} MiB (highest ${highestMiB.toFixed(0)})`;
}
