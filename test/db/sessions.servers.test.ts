import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { databaseFailure, sqlState } from "../../src/db/database-error.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
  await migrated(postgres);
});
afterAll(() => postgres[Symbol.asyncDispose]());

const urls = (): { primary: string; replica: string } => ({
  primary: postgres.serviceUrl,
  replica: postgres.replicaUrl,
});

test("each kind of session has its name and its limits", async () => {
  await using database = opened(urls());
  const limits = (name: string, statement: string) => [
    { name: `operator-management ${name}`, statement, lock: "2s", idle: "5s" },
  ];
  const shown = `select current_setting('application_name') as name, current_setting('statement_timeout') as statement,
    current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle`;
  expect(await rows(database.db, shown)).toEqual(limits("write", "5s"));
  expect(await rows(database.tail, shown)).toEqual(limits("tail", "30s"));
  expect(await rows(database.replica ?? database.db, shown)).toEqual(limits("replica", "5s"));
  const read = database.readSnapshot(
    (tx) => rows(tx, shown),
    async () => false,
  );
  expect(await read).toEqual(limits("read", "5s"));
});

test("however much is asked at once, a service has ten sessions at most: 5 write, 1 tail, 1 for notifications, 3 read", async () => {
  await using database = opened({ primary: postgres.serviceUrl });
  const slow = "select pg_sleep(0.2)";
  const many = (ask: () => Promise<unknown>): Promise<unknown>[] => Array.from({ length: 8 }, ask);
  const work = [
    ...many(() => rows(database.db, slow)),
    ...many(() => rows(database.tail, slow)),
    ...many(() =>
      database.readSnapshot(
        (tx) => rows(tx, slow),
        async () => true,
      ),
    ),
  ];
  const sessions = (): Promise<{ name: string; n: number }[]> =>
    postgres.primary.query(
      `select replace(application_name, 'operator-management ', '') as name, count(*)::int as n
       from pg_stat_activity where usename = 'ops_service' group by 1 order by 1`,
    );
  await Promise.all(work);
  await until("those of earlier tests have ended", async () => (await sessions()).every(({ n }) => n <= 5));
  expect(await sessions()).toEqual([
    { name: "notifications and locks", n: 1 },
    { name: "read", n: 3 },
    { name: "tail", n: 1 },
    { name: "write", n: 5 },
  ]);
});

test("writers that all wait for a lock starve neither the tail nor reads, and give up", async () => {
  await using database = opened(urls());
  await using holder = opened(urls());
  const locked = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  const holding = holder.db.transaction(async (tx) => {
    await tx.execute(sql`select 1 from config_head for update`);
    locked.resolve();
    await free.promise;
  });
  await locked.promise;
  const writers = Array.from({ length: 5 }, () =>
    rejection(database.db.transaction((tx) => tx.execute(sql`select 1 from config_head for update`))),
  );
  const waiting = async (): Promise<number> =>
    (await postgres.primary.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length;
  await until("all five wait", async () => (await waiting()) === 5);
  expect(await rows(database.tail, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(
    await database.readSnapshot(
      (tx) => rows(tx, "select 1 as one"),
      async () => false,
    ),
  ).toEqual([{ one: 1 }]);
  expect(await waiting()).toBe(5); // still: nobody had to give up first
  for (const error of await Promise.all(writers)) {
    expect([sqlState(error), databaseFailure(error)]).toEqual(["55P03", "refused"]);
  }
  free.resolve();
  await holding;
  expect(await rows(database.db, "select 1 as one from config_head for update")).toEqual([{ one: 1 }]);
});

test("who waits too long for one of the busy connections is told so, and nothing was done", async () => {
  await using database = opened(urls());
  const busy = Array.from({ length: 5 }, () => rows(database.db, "select pg_sleep(4)"));
  const error = await rejection(rows(database.db, "select 1"));
  expect(databaseFailure(error)).toBe("refused");
  await Promise.all(busy);
});

test("a frozen holder of the head's lock is cut off, and the others write again", async () => {
  await using frozen = opened(urls());
  await using other = opened(urls());
  const holding = rejection(
    frozen.db.transaction(async (tx) => {
      await tx.execute(sql`select 1 from config_head for update`);
      // It holds the lock and says nothing, for as long as it may.
      await until("the session is gone", async () => {
        const sessions = await postgres.primary.query(
          "select from pg_stat_activity where state = 'idle in transaction' and usename = 'ops_service'",
        );
        return sessions.length === 0;
      });
      await tx.execute(sql`select 1`);
    }),
  );
  expect(databaseFailure(await holding)).toBe("lost");
  expect(await rows(other.db, "select 1 as one from config_head for update")).toEqual([{ one: 1 }]);
  expect(await rows(frozen.db, "select 1 as one from config_head for update")).toEqual([{ one: 1 }]);
});

test("a statement that takes too long is refused, and its connection is used again", async () => {
  await using database = opened(urls());
  const pid = "select pg_backend_pid() as pid";
  const before = await rows(database.db, pid);
  const error = await rejection(database.db.transaction((tx) => tx.execute(sql`select pg_sleep(60)`)));
  expect([sqlState(error), databaseFailure(error)]).toEqual(["57014", "refused"]);
  expect(await rows(database.db, pid)).toEqual(before);
});

test("a transaction's own error comes out as it is, and the next transaction doesn't meet what is left of it", async () => {
  await using database = opened(urls());
  const thrown = new Error("a rule of ours");
  const failed = database.db.transaction(async (tx) => {
    await rejection(Promise.resolve(tx.execute(sql`select nothing`)));
    throw thrown;
  });
  expect(await rejection(failed)).toBe(thrown);
  for (let i = 0; i < 10; i++) expect(await rows(database.db, "select 1 as one")).toEqual([{ one: 1 }]);
  const [before] = await rows<{ pid: number }>(database.db, "select pg_backend_pid() as pid");
  await rows(database.db, "begin"); // whoever leaves one open doesn't leave it to the next
  expect(await rows(database.db, "select pg_backend_pid() as pid")).not.toEqual([before]);
});
