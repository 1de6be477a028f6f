import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startLinks, type Link, type Links } from "../cluster/links.ts";
import { startPostgres, type Postgres, type PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

let postgres: Postgres;
let replica: PostgresNode;
let links: Links;
let link: Link;
beforeAll(async () => {
  [postgres, links] = await Promise.all([startPostgres(), startLinks()]);
  if (postgres.replica === undefined) throw new Error("it has a replica by default");
  replica = postgres.replica;
  link = await links.to("127.0.0.1", replica.port);
  await migrated(postgres);
  await until("the replica is migrated", async () => (await replica.query("select from config_head")).length === 1);
});
beforeEach(() => link.heal());
afterAll(async () => {
  await links[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const urls = (): { primary: string; replica: string } => {
  const url = new URL(postgres.replicaUrl);
  url.port = String(link.port);
  return { primary: postgres.serviceUrl, replica: url.href };
};
const always = async (): Promise<boolean> => true;

/** Which server answered. */
async function answeredBy(database: OpenDatabase, fits = always): Promise<string | undefined> {
  const [row] = await database.readSnapshot(
    (tx) => rows<{ by: string }>(tx, "select case when pg_is_in_recovery() then 'replica' else 'primary' end as by"),
    fits,
  );
  return row?.by;
}

test("a snapshot is read from the replica when it fits, else from the primary", async () => {
  await using database = opened(urls());
  expect(await answeredBy(database)).toBe("replica");
  expect(await answeredBy(database, async () => false)).toBe("primary");
  await using alone = opened({ primary: postgres.serviceUrl });
  expect(await answeredBy(alone)).toBe("primary");
  expect(alone.replica).toBeUndefined();
});

test("what fits is asked in the snapshot that is read, and a replica that lags doesn't fit until it has caught up", async () => {
  await using database = opened(urls());
  const revision = "select revision::text from config_head";
  await replica.query("select pg_wal_replay_pause()");
  await postgres.primary.query("update config_head set revision = revision + 1");
  const [newest] = await rows<{ revision: string }>(database.db, revision);
  const read = (): Promise<readonly string[]> => {
    let asked = "";
    return database.readSnapshot(
      async (tx) => [asked, (await rows<{ revision: string }>(tx, revision))[0]?.revision ?? ""],
      async (tx) => {
        asked = (await rows<{ revision: string }>(tx, revision))[0]?.revision ?? "";
        return asked === newest?.revision;
      },
    );
  };
  const [asked, lagging] = await read();
  expect(Number(asked)).toBe(Number(newest?.revision) - 1);
  expect(lagging).toBe(newest?.revision); // the primary's
  await replica.query("select pg_wal_replay_resume()");
  await until(
    "it has caught up",
    async () => (await answeredBy(database, async () => (await read())[0] === newest?.revision)) === "replica",
  );
});

test("an error of the reader's own is no reason to read elsewhere", async () => {
  await using database = opened(urls());
  const error = new Error("a rule of ours");
  let runs = 0;
  const read = database.readSnapshot(async () => {
    runs++;
    throw error;
  }, always);
  expect(await rejection(read)).toBe(error);
  expect(runs).toBe(1);
});

test.each<[string, () => Promise<void>, () => Promise<void>]>([
  ["silent", () => link.blackHole(), () => link.heal()],
  ["refusing", () => link.cut(), () => link.heal()],
  ["frozen", async () => replica.server.pause(), async () => replica.server.resume()],
  ["killed", () => replica.server.kill(), () => replica.server.start()],
])(
  "a %s replica is left for the primary, is not waited for by each read, and is used again when it is back",
  async (_name, hurt, heal) => {
    await using database = opened(urls());
    await Promise.all(Array.from({ length: 3 }, () => answeredBy(database)));
    await hurt();
    try {
      expect(await answeredBy(database)).toBe("primary");
      // Each that waited for it would wait for a second or more: together longer than a test may take.
      for (let i = 0; i < 100; i++) expect(await answeredBy(database)).toBe("primary");
    } finally {
      await heal();
    }
    expect(database.log.filter((line) => line.includes("reading from the primary"))).toHaveLength(1);
    await until("the replica is used again", async () => (await answeredBy(database)) === "replica");
    expect(database.log.join()).toContain("the replica answers again");
  },
);

test("a replica that dies under a reader: the reader runs again on the primary", async () => {
  await using database = opened(urls());
  const seen: string[] = [];
  const result = await database.readSnapshot(async (tx) => {
    const [row] = await rows<{ standby: boolean }>(tx, "select pg_is_in_recovery() as standby");
    if (row?.standby === true) await link.cut();
    seen.push(row?.standby === true ? "replica" : "primary");
    return rows(tx, "select 1 as one");
  }, always);
  expect(result).toEqual([{ one: 1 }]);
  expect(seen).toEqual(["replica", "primary"]);
});

test("everything works without the replica from the start", async () => {
  await link.cut();
  await using database = opened(urls());
  expect(await answeredBy(database)).toBe("primary");
  expect(await rows(database.db, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("what the replica has can be read while the primary is away", async () => {
  await using database = opened(urls());
  await postgres.primary.server.kill();
  try {
    expect(await answeredBy(database)).toBe("replica");
  } finally {
    await postgres.primary.server.start();
  }
});
