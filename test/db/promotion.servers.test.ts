import { expect, test } from "vitest";
import { databaseFailure, sqlState } from "../../src/db/database-error.ts";
import { startLinks } from "../cluster/links.ts";
import { startPostgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

test("a standby in the primary's place is refused; once it is promoted everything goes on there", async () => {
  await using postgres = await startPostgres();
  await using links = await startLinks();
  const { primary, replica } = postgres;
  if (replica === undefined) throw new Error("it has a replica by default");
  await migrated(postgres);
  await until("the replica is migrated", async () => (await replica.query("select from config_head")).length === 1);
  const link = await links.to("127.0.0.1", primary.port);
  const url = new URL(postgres.serviceUrl);
  url.port = String(link.port);
  await using database = opened({ primary: url.href });
  const write = (): Promise<unknown> => rows(database.db, "update config_head set revision = revision + 1");
  await write();

  await link.retarget(replica.port); // what a name server does in a failover, and sometimes too early
  for (const error of await Promise.all(
    [database.db, database.tail].map((db) =>
      rejection(until("never", () => rows(db, "select 1").then(() => false), 500)),
    ),
  )) {
    expect(databaseFailure(error.cause)).toBe("refused");
    expect(String((error.cause as Error).cause)).toContain("it is a standby");
  }

  await primary.server.kill();
  await postgres.promote();
  await until("writes go on", async () => {
    await write();
    return true;
  });
  expect(await rows(database.tail, "select pg_is_in_recovery() as standby")).toEqual([{ standby: false }]);
});

test("dropPrimary ends every connection to the primary, those at work too, and the next call gets another", async () => {
  await using postgres = await startPostgres({ replica: false });
  await using database = opened({ primary: postgres.serviceUrl });
  const pids = async (): Promise<unknown[]> =>
    Promise.all([
      rows(database.db, "select pg_backend_pid() as pid"),
      rows(database.tail, "select pg_backend_pid() as pid"),
      database.readSnapshot(
        (tx) => rows(tx, "select pg_backend_pid() as pid"),
        async () => true,
      ),
    ]);
  const before = await pids();
  const working = rejection(rows(database.db, "select pg_sleep(60)"));
  await until("it works", async () => {
    const sessions = await postgres.primary.query("select from pg_stat_activity where wait_event = 'PgSleep'");
    return sessions.length === 1;
  });
  database.dropPrimary();
  const error = await working;
  expect([databaseFailure(error), sqlState(error)]).toEqual(["lost", undefined]);
  const after = await pids();
  for (const [i, pid] of before.entries()) expect(after[i]).not.toEqual(pid);
});
