import { spawn, type ChildProcessByStdio } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { encodeAuditBatch } from "../../src/audit/audit-batch.ts";
import { AuditQueue } from "../../src/audit/audit-queue.ts";
import type { Bus } from "../../src/backends/bus/bus.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { connected, jetStreamBus, keptLog } from "../backends/jetstream-buses.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened } from "../db/opened-database.ts";
import { auditRecord, loggedIds, storedIds } from "./audit-records.ts";
import type { WriterSettings } from "./dying-writer.ts";

let postgres: Postgres;
let nats: Nats;
let database: OpenDatabase;
const pods: { readonly queue: AuditQueue; readonly bus: Bus; readonly lines: ReturnType<typeof keptLog>["lines"] }[] =
  [];

beforeAll(async () => {
  [postgres, nats] = await Promise.all([startPostgres({ replica: false }), startNats({ nodes: 3 })]);
  await migrated(postgres);
  database = opened({ primary: postgres.serviceUrl, replica: undefined, password: undefined });
}, 120_000);
afterEach(async () => {
  for (const { queue, bus } of pods.splice(0)) {
    await queue.close();
    await bus.close();
  }
  await postgres.primary.query("truncate audit_event");
});
afterAll(async () => {
  await database.close();
  await Promise.all([nats[Symbol.asyncDispose](), postgres[Symbol.asyncDispose]()]);
});

/** One of the processes that audit. */
async function pod(): Promise<(typeof pods)[number]> {
  const log = keptLog();
  const bus = jetStreamBus(nats);
  await connected(bus);
  const queue = new AuditQueue({ bus, db: database.db, logger: log.logger, intervalMs: 20 });
  const made = { queue, bus, lines: log.lines };
  pods.push(made);
  return made;
}

const stored = (): Promise<string[]> => storedIds(database.db);
const ids = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => String(from + index));
const storedAtLast = (expected: readonly string[]): Promise<void> =>
  until("all is stored", async () => (await stored()).length >= expected.length, 90_000);

const PATIENCE = { timeout: 240_000 };

test("records of several processes are each stored once, those of one process in order", PATIENCE, async () => {
  const [first, second] = [await pod(), await pod()];
  for (const id of ids(0, 300)) first.queue.add(auditRecord(`first ${id}`));
  for (const id of ids(0, 300)) second.queue.add(auditRecord(`second ${id}`));
  await storedAtLast(ids(0, 600));
  const rows = await stored();
  expect(rows).toHaveLength(600);
  expect(rows.filter((id) => id.startsWith("first"))).toEqual(ids(0, 300).map((id) => `first ${id}`));
  expect(rows.filter((id) => id.startsWith("second"))).toEqual(ids(0, 300).map((id) => `second ${id}`));
});

test(
  "while the database is away records wait in the stream, also beyond the end of their process",
  PATIENCE,
  async () => {
    const first = await pod();
    await postgres.primary.server.kill();
    for (const id of ids(0, 20)) first.queue.add(auditRecord(id));
    await first.queue.close();
    expect(loggedIds(first.lines)).toEqual([]);
    await postgres.primary.server.start();
    await pod();
    await storedAtLast(ids(0, 20));
    expect(await stored()).toEqual(ids(0, 20));
  },
);

test("while NATS is away adding returns at once and records wait in memory", PATIENCE, async () => {
  const { queue, lines } = await pod();
  await Promise.all(nats.nodes.map(({ server }) => server.kill()));
  for (const id of ids(0, 20)) queue.add(auditRecord(id));
  await until("it has told", () => lines.length > 0);
  await Promise.all(nats.nodes.map(({ server }) => server.start()));
  await storedAtLast(ids(0, 20));
  expect(await stored()).toEqual(ids(0, 20));
  expect(lines.map(({ text }) => text)).toEqual(["audit records wait: the bus can't take them"]);
});

test("when NATS stays away until the end, the records are in the log", PATIENCE, async () => {
  const { queue, lines } = await pod();
  await Promise.all(nats.nodes.map(({ server }) => server.kill()));
  for (const id of ids(0, 3)) queue.add(auditRecord(id));
  await queue.close();
  expect(loggedIds(lines)).toEqual(ids(0, 3));
  await Promise.all(nats.nodes.map(({ server }) => server.start()));
});

test(
  "a process that is killed after storing and before saying so: its records are there once, and what follows too",
  PATIENCE,
  async () => {
    const bus = jetStreamBus(nats);
    await connected(bus);
    const records = ids(0, 5).map((id) => ({ ...auditRecord(id), eventId: randomUUID() }));
    await bus.publish("ops.audit.v1", encodeAuditBatch(records), { signal: new AbortController().signal });
    await bus.close();
    const writer = startDyingWriter();
    expect(await Promise.race([once(writer.stdout, "data"), once(writer, "exit").then(() => "exit")])).not.toBe("exit");
    writer.kill("SIGKILL");
    await once(writer, "exit");
    expect(await stored()).toEqual(ids(0, 5));
    const { queue: survivor } = await pod();
    for (const id of ids(5, 5)) survivor.add(auditRecord(id));
    await storedAtLast(ids(0, 10));
    expect(await stored()).toEqual(ids(0, 10));
  },
);

function startDyingWriter(): ChildProcessByStdio<null, Readable, null> {
  const { servers, user, password } = nats;
  const settings: WriterSettings = { postgresUrl: postgres.serviceUrl, servers, user, password };
  const file = fileURLToPath(new URL("dying-writer.ts", import.meta.url));
  const args = ["--conditions=source", file, JSON.stringify(settings)];
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
}
