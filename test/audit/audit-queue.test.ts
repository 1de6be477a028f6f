import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { AuditQueue, type AuditRecord } from "../../src/audit/audit-queue.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { auditEvent } from "../../src/db/schema.ts";

let database: OpenDatabase;
const logged: { readonly details: object; readonly text: string }[] = [];
const logger = { warn: (details: object, text: string) => void logged.push({ details, text }) } as never;

beforeAll(async () => {
  database = await openEmbeddedDatabase("memory://");
});
afterAll(() => database.close());
afterEach(async () => {
  logged.length = 0;
  await database.db.delete(auditEvent);
});

const record = (requestId: string): AuditRecord => ({
  time: timestampFromDate(new Date()),
  actorPrincipal: "spiffe://test/smpp-connector",
  actorKind: "WORKLOAD",
  source: "10.0.0.7",
  method: "GetConnectionCredential",
  target: "operators/acme/connections/main",
  result: "OK",
  requestId,
  detail: {},
});
const stored = async (): Promise<string[]> =>
  (await database.db.select().from(auditEvent).orderBy(auditEvent.id)).map(({ requestId }) => requestId);

async function breakTable(): Promise<() => Promise<void>> {
  await database.db.execute(sql`alter table audit_event rename to audit_event_away`);
  return async () => {
    await database.db.execute(sql`alter table audit_event_away rename to audit_event`);
  };
}

test("records are stored in the order they came, by themselves", async () => {
  const queue = new AuditQueue({ db: database.db, logger, intervalMs: 5 });
  for (const id of ["1", "2", "3"]) queue.add(record(id));
  await vi.waitFor(async () => expect(await stored()).toEqual(["1", "2", "3"]));
  await queue.close();
});

test("closing stores what is queued, more than one batch too", async () => {
  const queue = new AuditQueue({ db: database.db, logger, intervalMs: 60_000 });
  const ids = Array.from({ length: 1_200 }, (_, index) => String(index));
  for (const id of ids) queue.add(record(id));
  await queue.close();
  expect(await stored()).toEqual(ids);
});

test("records wait while the database refuses them, with one warning, and are stored once", async () => {
  const queue = new AuditQueue({ db: database.db, logger, intervalMs: 5 });
  const mend = await breakTable();
  queue.add(record("1"));
  await vi.waitFor(() => expect(logged).toHaveLength(1));
  queue.add(record("2"));
  await mend();
  await vi.waitFor(async () => expect(await stored()).toEqual(["1", "2"]));
  expect(logged.map(({ text }) => text)).toEqual(["audit records wait: storing them failed"]);
  await queue.close();
});

test("what the queue has no room for, and what can't be stored at the end, goes to the log", async () => {
  const queue = new AuditQueue({ db: database.db, logger, intervalMs: 60_000, limit: 2 });
  const mend = await breakTable();
  for (const id of ["1", "2", "3"]) queue.add(record(id));
  await queue.close();
  await mend();
  const kept = logged.flatMap(({ details }) => ("audit" in details ? [(details.audit as AuditRecord).requestId] : []));
  expect(kept).toEqual(["3", "1", "2"]);
  expect(await stored()).toEqual([]);
});
