import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "../../src/db/db.ts";
import { History } from "../../src/history/commit.ts";
import { genesis } from "../../src/history/fingerprint.ts";
import { readHead } from "../../src/history/head.ts";
import { verifyHistory } from "../../src/history/verify.ts";
import { storeResetCommand } from "../../src/store-reset-command.ts";
import { startPostgres, type DatabaseUrls, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { commit, created, operatorWith, updated } from "../history/store.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres({ replica: false });
});
afterAll(() => postgres[Symbol.asyncDispose]());

let databases = 0;
/** A store with a few revisions of one and of several operators. */
async function store(): Promise<DatabaseUrls> {
  const urls = await postgres.createDatabase(`store${databases++}`);
  await migrated(urls);
  await using database = opened({ primary: urls.serviceUrl });
  const history = new History({ db: database.db, onCommit: () => undefined });
  const first = operatorWith({ id: "first" });
  await commit(history, [created(first)], { requestId: randomUUID() });
  await commit(history, [created(operatorWith({ id: "b" })), created(operatorWith({ id: "a" }))]);
  await commit(history, [updated(first, (operator) => (operator.displayName = "Changed"))]);
  return urls;
}

async function reset(
  urls: Pick<DatabaseUrls, "ownerUrl">,
  options: { yes?: boolean; force?: boolean } = {},
): Promise<string> {
  await sessionsEnded(urls.ownerUrl);
  return resetAtOnce(urls, options);
}

async function resetAtOnce(
  { ownerUrl }: Pick<DatabaseUrls, "ownerUrl">,
  { yes = true, force = false }: { yes?: boolean; force?: boolean } = {},
): Promise<string> {
  let output = "";
  await storeResetCommand({ databaseUrl: ownerUrl, yes, force, print: (text) => void (output += text) });
  return output;
}

/** A closed connection's session ends a moment later. */
async function sessionsEnded(url: string): Promise<void> {
  const database = new URL(url).pathname.slice(1);
  await until("sessions of closed connections have ended", async () => {
    const sessions = await postgres.primary.query(
      "select from pg_stat_activity where datname = $1 and usename = 'ops_service'",
      [database],
    );
    return sessions.length === 0;
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const positionOf = async (db: Database) => (await readHead(db)).position;
async function withDatabase<T>({ serviceUrl }: DatabaseUrls, work: (db: Database) => Promise<T>): Promise<T> {
  await using database = opened({ primary: serviceUrl });
  return await work(database.db);
}

test("a copy gets an id of its own, the same history verifies from it, and goes on", async () => {
  const urls = await store();
  const before = await withDatabase(urls, positionOf);
  const output = await reset(urls);
  await withDatabase(urls, async (db) => {
    const after = await positionOf(db);
    expect(output).toContain(hex(before.store));
    expect(output).toContain(hex(after.store));
    expect(after.store).toHaveLength(16);
    expect(hex(after.store)).not.toBe(hex(before.store));
    expect(hex(after.fingerprint)).not.toBe(hex(before.fingerprint));
    expect(after.revision).toBe(3n);
    expect((await verifyHistory(db)).problems).toEqual([]);
    await commit(new History({ db, onCommit: () => undefined }), [created(operatorWith({ id: "later" }))]);
    expect(await verifyHistory(db)).toMatchObject({ problems: [], revisions: 4 });
  });
});

test("nothing of the original's is answered or shown, and the audit trail tells what happened", async () => {
  const urls = await store();
  const before = await withDatabase(urls, positionOf);
  await reset(urls);
  await withDatabase(urls, async (db) => {
    expect(await rows(db, "select 1 from request_log union all select 1 from node_status")).toEqual([]);
    const events = await rows<{ method: string; detail: { before: object } }>(
      db,
      "select method, detail from audit_event order by id desc limit 1",
    );
    expect(events).toMatchObject([
      {
        method: "StoreReset",
        detail: { revision: "3", before: { store: hex(before.store), fingerprint: hex(before.fingerprint) } },
      },
    ]);
  });
});

test("a store without any change is at its genesis again", async () => {
  const urls = await postgres.createDatabase("unused");
  await migrated(urls);
  await reset(urls);
  const { revision, fingerprint, store: id } = await withDatabase(urls, positionOf);
  expect([revision, hex(fingerprint)]).toEqual([0n, hex(genesis(id))]);
});

test("without --yes nothing happens but being told what would", async () => {
  const urls = await store();
  const before = await withDatabase(urls, positionOf);
  await expect(rejection(reset(urls, { yes: false }))).resolves.toMatchObject({
    name: "StartError",
    message: expect.stringContaining("--yes") as string,
  });
  expect(await withDatabase(urls, positionOf)).toEqual(before);
});

test("while services are connected it is refused, unless forced", async () => {
  const urls = await store();
  await using service = opened({ primary: urls.serviceUrl });
  const before = await positionOf(service.db);
  for (const yes of [true, false]) {
    await expect(rejection(resetAtOnce(urls, { yes }))).resolves.toMatchObject({
      name: "StartError",
      message: expect.stringContaining("--force") as string,
    });
  }
  expect(await positionOf(service.db)).toEqual(before);
  await resetAtOnce(urls, { force: true });
  expect(await positionOf(service.db)).not.toEqual(before);
});

test("a damaged history isn't made to look right", async () => {
  const urls = await store();
  const database = new URL(urls.ownerUrl).pathname.slice(1);
  await postgres.primary.query("update config_change set operator_id = 'x' where revision = 1", [], database);
  await expect(rejection(reset(urls))).resolves.toMatchObject({
    name: "StartError",
    message: expect.stringContaining("damaged") as string,
  });
});

test("a database that was never migrated is said to be none of ours", async () => {
  const urls = await postgres.createDatabase("empty");
  await expect(rejection(reset(urls))).resolves.toMatchObject({
    name: "StartError",
    message: expect.stringContaining("run migrate") as string,
  });
});
