import { afterAll, beforeAll, expect, test } from "vitest";
import { databaseFailure } from "../../src/db/database-error.ts";
import type { HeldLock, OpenDatabase } from "../../src/db/db.ts";
import { startLinks, type Link, type Links } from "../cluster/links.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { opened, rejection } from "./opened-database.ts";

let postgres: Postgres;
let links: Links;
let link: Link;
beforeAll(async () => {
  [postgres, links] = await Promise.all([startPostgres({ replica: false }), startLinks()]);
  link = await links.to("127.0.0.1", postgres.primary.port);
});
afterAll(async () => {
  await links[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const overLink = (): { primary: string } => {
  const url = new URL(postgres.serviceUrl);
  url.port = String(link.port);
  return { primary: url.href };
};
const notify = (channel: string): Promise<unknown> => postgres.primary.query("select pg_notify($1, '')", [channel]);

/** The lock, once there is a connection to take it on. */
async function lock(database: OpenDatabase, name: string): Promise<HeldLock> {
  let held: HeldLock | undefined;
  await until(`${name} is taken`, async () => (held = await database.tryLock(name)) !== undefined);
  if (held === undefined) throw new Error("it was taken");
  return held;
}

/** Listens, and tells when as many notifications as asked for have come since the last time. */
async function listener(database: OpenDatabase, channel: string) {
  let heard = 0;
  const unlisten = await database.listen(channel, () => heard++);
  await until("it listens", async () => {
    await notify(channel);
    return heard > 0;
  });
  return { unlisten, heard: () => heard };
}

test("listeners hear their own channel until they stop", async () => {
  await using database = opened(overLink());
  const [one, other] = [await listener(database, "one"), await listener(database, 'o"ther')];
  const before = other.heard();
  const heard = one.heard();
  await notify("one");
  await until("heard", () => one.heard() > heard);
  expect(other.heard()).toBe(before);
  await one.unlisten();
  await one.unlisten();
  const last = one.heard();
  await notify("one");
  await notify('o"ther');
  await until("heard", () => other.heard() > before);
  expect(one.heard()).toBe(last);
});

test.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
  [
    "was ended by the server",
    () =>
      postgres.primary.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%notifications%'",
      ),
    async () => undefined,
  ],
  ["was reset", () => link.cut(), () => link.heal()],
  ["went silent", () => link.blackHole(), () => link.heal()],
  ["belonged to a killed server", () => postgres.primary.server.kill(), () => postgres.primary.server.start()],
])(
  "a connection that %s: its lock is lost, listeners are told once they hear again, and do",
  async (_name, hurt, heal) => {
    await using database = opened(overLink());
    const { heard } = await listener(database, "config_changed");
    const held = await lock(database, "relay");
    expect(held.lost.aborted).toBe(false);
    const before = heard();
    await hurt();
    await until("the lock is lost", () => held.lost.aborted);
    await heal();
    await until("listeners were told without a NOTIFY", () => heard() > before);
    const told = heard();
    await notify("config_changed");
    await until("they hear again", () => heard() > told);
    await held.release(); // harmless
    await (await lock(database, "relay")).release();
  },
);

test("of two processes one has the lock, until it lets go, closes or is dropped", async () => {
  await using one = opened(overLink());
  const other = opened(overLink());
  const held = await lock(one, "relay");
  const another = await lock(other, "another");
  expect(await other.tryLock("relay")).toBeUndefined();
  expect(await one.tryLock("relay")).toBeUndefined(); // not twice in one process either
  await held.release();
  expect(held.lost.aborted).toBe(true);
  const second = await lock(other, "relay");
  expect(await one.tryLock("relay")).toBeUndefined();
  await other.close();
  expect([second.lost.aborted, another.lost.aborted]).toEqual([true, true]);
  const third = await lock(one, "relay");
  one.dropPrimary();
  await until("it is lost", () => third.lost.aborted);
  await lock(one, "relay");
});

test("without a connection a lock can't be taken, and listening does no harm", async () => {
  await link.cut();
  await using database = opened(overLink());
  let heard = 0;
  await database.listen("early", () => heard++);
  expect(databaseFailure(await rejection(database.tryLock("relay")))).toBe("refused");
  await link.heal();
  await until("told when it listens", () => heard > 0);
});
