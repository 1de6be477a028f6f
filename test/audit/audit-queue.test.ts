import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { AuditQueue } from "../../src/audit/audit-queue.ts";
import { BusUnavailableError, type PublishOptions } from "../../src/backends/bus/bus.ts";
import { InProcessBus } from "../../src/backends/bus/in-process-bus.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { auditEvent } from "../../src/db/schema.ts";
import { keptLog } from "../backends/jetstream-buses.ts";
import { openPreparedDatabase } from "../harness/prepared-postgres.ts";
import { auditRecord as record, loggedIds, storedIds } from "./audit-records.ts";

/** A bus of this process that can be away. */
class FaultyBus extends InProcessBus {
  away = false;
  published = 0;
  override async publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    if (this.away) throw new BusUnavailableError("publish");
    this.published++;
    return super.publish(subject, data, options);
  }
}

let database: OpenDatabase;
let bus: FaultyBus;
let log: ReturnType<typeof keptLog>;

beforeAll(async () => {
  database = await openPreparedDatabase();
});
afterAll(() => database.close());
beforeEach(() => {
  bus = new FaultyBus({ pauses: { firstMs: 5, maxMs: 20 } });
  log = keptLog();
});
afterEach(async () => {
  await bus.close();
  await database.db.delete(auditEvent);
});

const openQueue = (options: { readonly intervalMs: number; readonly limit?: number }): AuditQueue =>
  new AuditQueue({ bus, db: database.db, logger: log.logger, ...options });
const stored = (): Promise<string[]> => storedIds(database.db);
const warnings = (): string[] => log.lines.map(({ text }) => text);
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

async function breakTable(): Promise<() => Promise<void>> {
  await database.db.execute(sql`alter table audit_event rename to audit_event_away`);
  return async () => {
    await database.db.execute(sql`alter table audit_event_away rename to audit_event`);
  };
}

test("records are stored in the order they came, by themselves", async () => {
  const queue = openQueue({ intervalMs: 5 });
  for (const id of ["1", "2", "3"]) queue.add(record(id));
  await vi.waitFor(async () => expect(await stored()).toEqual(["1", "2", "3"]));
  await queue.close();
});

test("a record is stored as it was added", async () => {
  const queue = openQueue({ intervalMs: 5 });
  const added = { ...record("1"), detail: { reason: "“why”", list: [1, null] }, result: "VAULT_UNAVAILABLE" };
  queue.add(added);
  await queue.close();
  const { id: _id, eventId, ...row } = (await database.db.select().from(auditEvent))[0]!;
  expect(row).toEqual({ ...added, time: { ...added.time, nanos: added.time.nanos } });
  expect(eventId).toMatch(/^[0-9a-f-]{36}$/);
});

test("closing stores what is queued, in more than one message", async () => {
  const queue = openQueue({ intervalMs: 60_000 });
  for (const id of ids(1_200)) queue.add(record(id));
  await queue.close();
  expect(await stored()).toEqual(ids(1_200));
  expect(bus.published).toBe(3);
});

test("records wait here while the bus is away, with one warning, and go on in order when it is back", async () => {
  const queue = openQueue({ intervalMs: 5 });
  bus.away = true;
  queue.add(record("1"));
  await vi.waitFor(() => expect(log.lines).toHaveLength(1));
  queue.add(record("2"));
  bus.away = false;
  await vi.waitFor(async () => expect(await stored()).toEqual(["1", "2"]));
  expect(warnings()).toEqual(["audit records wait: the bus can't take them"]);
  await queue.close();
});

test("records wait on the bus while the database refuses them, with one warning, and are stored once", async () => {
  const queue = openQueue({ intervalMs: 5 });
  const mend = await breakTable();
  queue.add(record("1"));
  await vi.waitFor(() => expect(log.lines).toHaveLength(1));
  queue.add(record("2"));
  await mend();
  await vi.waitFor(async () => expect(await stored()).toEqual(["1", "2"]));
  expect(warnings()).toEqual(["audit records wait on the bus: storing them failed"]);
  await queue.close();
});

test("what the queue has no room for, and what no bus takes until the end, goes to the log", async () => {
  const queue = openQueue({ intervalMs: 60_000, limit: 2 });
  bus.away = true;
  for (const id of ["1", "2", "3"]) queue.add(record(id));
  await queue.close();
  queue.add(record("4"));
  expect(loggedIds(log.lines)).toEqual(["3", "1", "2", "4"]);
  expect(await stored()).toEqual([]);
});

test("what a bus of this process still holds at the end is stored, or else goes to the log", async () => {
  const mend = await breakTable();
  const queue = openQueue({ intervalMs: 5 });
  queue.add(record("1"));
  await vi.waitFor(() => expect(warnings()).toHaveLength(1));
  queue.add(record("2"));
  await queue.close();
  expect(loggedIds(log.lines)).toEqual(["1", "2"]);
  await mend();
});

test("a message that comes again is stored once", async () => {
  const queue = openQueue({ intervalMs: 5 });
  const { signal } = new AbortController();
  let copy: Uint8Array | undefined;
  vi.spyOn(bus, "publish").mockImplementationOnce(async (subject, data, options) => {
    copy = data;
    return InProcessBus.prototype.publish.call(bus, subject, data, options);
  });
  queue.add(record("1"));
  await vi.waitFor(async () => expect(await stored()).toEqual(["1"]));
  await bus.publish("ops.audit.v1", copy!, { signal });
  queue.add(record("2"));
  await vi.waitFor(async () => expect(await stored()).toContain("2"));
  expect(await stored()).toEqual(["1", "2"]);
  await queue.close();
});

test("what can never be stored doesn't hold up what comes after it: it goes to the log", async () => {
  const queue = openQueue({ intervalMs: 5 });
  const { signal } = new AbortController();
  await bus.publish("ops.audit.v1", new TextEncoder().encode("{ not JSON"), { signal });
  queue.add({ ...record("bad"), target: "a\0b" });
  await vi.waitFor(() => expect(loggedIds(log.lines)).toEqual(["bad"]));
  queue.add(record("good"));
  await vi.waitFor(async () => expect(await stored()).toEqual(["good"]));
  expect(log.lines[0]).toMatchObject({
    level: "error",
    text: "a message with audit records is unreadable and was dropped",
  });
  await queue.close();
});

test("a newer release's message waits for a process of that release", async () => {
  const queue = openQueue({ intervalMs: 5 });
  const { signal } = new AbortController();
  await bus.publish("ops.audit.v1", new TextEncoder().encode('{"version":2}'), { signal });
  await vi.waitFor(() => expect(warnings()).toEqual(["audit records wait on the bus: storing them failed"]));
  expect(await bus.lastMessage("OPS_AUDIT", signal)).toBeDefined();
  await queue.close();
});
