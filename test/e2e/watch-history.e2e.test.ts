import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../harness/free-port.ts";
import { copyPreparedPostgres } from "../harness/prepared-postgres.ts";
import { spawnService, type SpawnedService } from "../harness/service.ts";
import { randomOf } from "../history-checker/random.ts";
import { readTruth } from "../history-checker/read-truth.ts";
import { turns } from "../history-checker/turns.ts";
import { validate } from "../history-checker/validate.ts";
import { startCatalogWatcher, startRawWatcher } from "../history-checker/watchers.ts";
import { untilAnswered, write } from "../history-checker/writers.ts";

const SEEDS = 20;
const WRITERS = 50;
const CALLS_PER_WRITER = 4;
const WATCHERS_PER_KIND = 10;
/** Half of a seed's time is waiting (for a process to start, for a backoff to end), so two share a machine of two cores well. */
const SEEDS_AT_ONCE = 2;
const SHARED = ["shared-a", "shared-b", "shared-c", "shared-d"];

/**
 * Invariant: whatever a watcher saw, over any cuts and resumes and over the service's death, is the history as the database has it: Ordered,
 * Unique, Atomic, Filter, Resumable, Bookmarkable, Reliable, Authentic; and no acknowledged write is lost (Durable).
 */
describe("fifty writers against twenty watchers, with cuts, stuck readers and kill -9", () => {
  const inTurn = turns(SEEDS_AT_ONCE);
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "operators-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.concurrent.each(Array.from({ length: SEEDS }, (_, index) => index + 1))(
    "break no guarantee (seed %i)",
    { timeout: 1_200_000 }, // it waits for its turn, too
    (seed) => inTurn(() => breakNoGuarantee(seed, folder)),
  );
});

async function breakNoGuarantee(seed: number, folder: string): Promise<void> {
  const random = randomOf(seed);
  const dataDir = join(folder, `seed-${seed}`);
  copyPreparedPostgres(join(dataDir, "postgres"));
  const ports = { dataDir, port: await freePort(), metricsPort: await freePort() };
  await using first = await spawnService(ports);
  let service: SpawnedService = first;
  await Promise.all(
    SHARED.map((operatorId) => untilAnswered((requestId) => service.admin.createOperator({ operatorId, requestId }))),
  );
  const names = Array.from({ length: WATCHERS_PER_KIND }, (_, index) => index);
  const watchers = [
    ...names.map((index) => startRawWatcher(`raw-${index}`, [service.url], randomOf(seed * 1_000 + index))),
    ...(await Promise.all(
      names.map((index) => startCatalogWatcher(`sdk-${index}`, [service.url], randomOf(seed * 2_000 + index))),
    )),
  ];
  const writers = Array.from({ length: WRITERS }, (_, index) =>
    write(`w${index}`, CALLS_PER_WRITER, randomOf(seed * 3_000 + index), SHARED, () => service.admin),
  );
  let kills = 0;
  const faults = (async () => {
    for (; kills < 1 + (seed % 2); kills++) {
      await delay(random.integer(200, 1_500));
      await service.kill();
      service = await spawnService(ports);
    }
  })();
  const acknowledged = (await Promise.all(writers)).flat();
  await faults;
  const last = Math.max(...acknowledged.map(({ position }) => position.revision));
  const seen = await Promise.all(watchers.map((watcher) => watcher.finishAt(last)));
  await service.close();

  const truth = await readTruth(dataDir);
  const events = seen.flatMap(({ streams }) => streams.flatMap(({ messages }) => messages)).length;
  const cuts = watchers.reduce((sum, watcher) => sum + watcher.faults(), 0);
  console.log(
    `seed ${seed}: ${acknowledged.length} acknowledged writes, ${truth.length} revisions, ${events} messages checked, ${kills} kills, ${cuts} cuts and stalls`,
  );
  expect(acknowledged).toHaveLength(WRITERS * CALLS_PER_WRITER);
  expect(kills).toBeGreaterThan(0);
  expect(validate(truth, seen, acknowledged)).toEqual([]);
}
