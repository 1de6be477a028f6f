// All figures of the service on the cluster's real servers, each beside a baseline of the same run: `npm run bench`, or some of them:
// `npm run bench -- commits reads`. On a shared machine only the ratios mean something. Writes nothing but what goes away with it.
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { commits } from "./commits.ts";
import { fanOut } from "./fan-out.ts";
import { table, type Figure } from "./figure.ts";
import { latency } from "./latency.ts";
import { reads } from "./reads.ts";
import { routes } from "./routes.ts";
import { openScene, OPERATORS, ROUNDS, type Scene } from "./scene.ts";
import { startUp } from "./start-up.ts";

/** In this order: the last one adds operators. */
const measurements: Readonly<Record<string, (scene: Scene) => Promise<Figure[]>>> = {
  commits,
  latency,
  reads,
  "fan-out": fanOut,
  "start-up": startUp,
};

/** These need no servers; before the others, so that those don't disturb them. */
const local: Readonly<Record<string, (scene: Pick<Scene, "say">) => Promise<Figure[]>>> = { routes };

const { positionals } = parseArgs({ allowPositionals: true });
const names = [...Object.keys(local), ...Object.keys(measurements)];
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(", ")}; there are ${names.join(", ")}.`);
  process.exit(2);
}

const began = performance.now();
const seconds = (): string => `${((performance.now() - began) / 1_000).toFixed(0)} s`;
const say = (line: string): void => console.error(`${seconds().padStart(5)}  ${line}`);

const figures: Figure[] = [];
const wanted = (name: string): boolean => positionals.length === 0 || positionals.includes(name);
await run(local, { say });
if (Object.keys(measurements).some(wanted)) {
  const scene = await openScene(say);
  try {
    await run(measurements, scene);
  } finally {
    await scene.close();
  }
}
const [cpu] = cpus();
console.log(`\n${table(figures)}\n`);
console.log(
  `Medians of ${ROUNDS} rounds in which service and baseline alternate, ${seconds()} in all, on ${cpus().length} × ${cpu?.model ?? "?"}, which service, servers and load share. Node ${process.version}. ${OPERATORS} operators of 2 connections and 20 coverage entries unless said otherwise.`,
);

async function run<S extends Pick<Scene, "say">>(
  these: Readonly<Record<string, (scene: S) => Promise<Figure[]>>>,
  scene: S,
): Promise<void> {
  for (const [name, measure] of Object.entries(these)) {
    if (!wanted(name)) continue;
    say(name);
    try {
      figures.push(...(await measure({ ...scene, say: (line) => say(`  ${line}`) })));
    } catch (error) {
      // The others are worth having all the same.
      console.error(error);
      process.exitCode = 1;
    }
  }
}
