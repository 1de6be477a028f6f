import { once } from "node:events";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { databaseFailure } from "../../src/db/database-error.ts";
import type { Database, OpenDatabase } from "../../src/db/db.ts";
import { guard } from "../../src/db/guarded-client.ts";
import { startLinks, type Link, type Links } from "../cluster/links.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

let postgres: Postgres;
let links: Links;
let link: Link;
beforeAll(async () => {
  [postgres, links] = await Promise.all([startPostgres({ replica: false }), startLinks()]);
  link = await links.to("127.0.0.1", postgres.primary.port);
  await migrated(postgres);
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
const ONE = "select 1 as one";
const inTransaction = (db: Database): Promise<unknown> => db.transaction((tx) => rows(tx, ONE));
/** Every way to ask the primary, and several at once of those that share connections. */
const askAll = (database: OpenDatabase): Promise<unknown>[] => [
  ...Array.from({ length: 8 }, () => inTransaction(database.db)),
  rows(database.db, ONE),
  rows(database.tail, ONE),
  inTransaction(database.tail),
  database.readSnapshot(
    (tx) => rows(tx, ONE),
    async () => true,
  ),
];

async function allFail(database: OpenDatabase): Promise<void> {
  for (const error of await Promise.all(askAll(database).map(rejection))) {
    expect(databaseFailure(error), error.stack).toBeDefined();
  }
}

/** At once: whatever broke in the meantime, nobody gets a broken connection. */
async function allWork(database: OpenDatabase): Promise<void> {
  await Promise.all(askAll(database));
  await Promise.all(askAll(database));
}

describe("nothing hangs, and all of it works again at once, when", () => {
  test.each<[string, () => Promise<void>, () => Promise<void>]>([
    ["the server is frozen", async () => postgres.primary.server.pause(), async () => postgres.primary.server.resume()],
    ["packets get lost", () => link.blackHole(), () => link.heal()],
    ["connections are refused", () => link.cut(), () => link.heal()],
    ["the server is killed", () => postgres.primary.server.kill(), () => postgres.primary.server.start()],
  ])("%s", async (_name, hurt, heal) => {
    await using database = opened(overLink());
    await allWork(database);
    await hurt();
    try {
      await allFail(database);
      await allFail(database);
    } finally {
      await heal();
    }
    await allWork(database);
  });
});

test("a connection that was unused for longer than a server may be silent is guarded like any other", async () => {
  const client = new pg.Client({ connectionString: postgres.serviceUrl });
  await client.connect();
  guard(client, 200);
  await once(client.connection.stream, "timeout");
  postgres.primary.server.pause();
  try {
    expect(databaseFailure(await rejection(client.query(ONE)))).toBe("lost");
  } finally {
    postgres.primary.server.resume();
  }
});

test("a transaction whose server goes silent fails at its next statement, COMMIT included", async () => {
  await using database = opened(overLink());
  let asked = 0;
  const failed = rejection(
    database.db.transaction(async (tx) => {
      await rows(tx, ONE);
      postgres.primary.server.pause(); // rather than a black hole: through that the server's own limit would end the connection
      asked++;
    }),
  );
  expect(databaseFailure(await failed)).toBe("lost");
  expect(asked).toBe(1);
  postgres.primary.server.resume();
  await allWork(database);
});

test("a connection that ends in the middle of a transaction takes neither the process nor a place in the pool with it", async () => {
  await using database = opened(overLink());
  for (let i = 0; i < 12; i++) {
    const failed = rejection(
      database.db.transaction(async (tx) => {
        const [session] = await rows<{ pid: number }>(tx, "select pg_backend_pid() as pid");
        await postgres.primary.query("select pg_terminate_backend($1)", [session?.pid]);
        await until("it has ended", async () => {
          const sessions = await postgres.primary.query("select from pg_stat_activity where pid = $1", [session?.pid]);
          return sessions.length === 0;
        });
        await rows(tx, ONE);
      }),
    );
    expect(databaseFailure(await failed)).toBe("lost");
  }
  await allWork(database);
});

test("a BEGIN that fails loses no place in the pool", async () => {
  await using database = opened(overLink());
  for (let i = 0; i < 12; i++) {
    await inTransaction(database.db).catch(() => undefined);
    await postgres.primary.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ops_service'",
    );
    await inTransaction(database.db).catch((error: unknown) => expect(databaseFailure(error)).toBe("lost"));
  }
  await until("the ended ones were noticed", () => allWork(database).then(() => true));
});

test("closing doesn't wait for a server that doesn't answer", async () => {
  const database = opened(overLink());
  await Promise.all(askAll(database));
  await link.blackHole();
  await database.close();
  await link.heal();
});

describe("the password", () => {
  const source = (first: string) => ({
    known: first,
    newest: first,
    get(): Promise<string> {
      return Promise.resolve(this.known);
    },
    forget(): void {
      this.known = this.newest;
    },
  });

  test("can be rotated while calls run, and none fails, on old connections and on new ones", async () => {
    const password = source(postgres.servicePassword);
    await using database = opened({ ...overLink(), password });
    for (const next of ["second: /@ü", "third"]) {
      await allWork(database);
      password.newest = next;
      await postgres.setServicePassword(next);
      await using fresh = opened({ ...overLink(), password });
      await Promise.all([allWork(database), allWork(fresh), until("it listens", () => canLock(fresh))]);
      expect(fresh.log).toEqual([]);
    }
  });

  test("that is refused for good is said once, with the setting at fault and without the password", async () => {
    const password = source("not-the-password");
    await using database = opened({ ...overLink(), password });
    await allFail(database);
    const errors = database.log.filter((line) => line.includes('"error"'));
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThanOrEqual(3); // one for each pool
    for (const line of errors) expect(line).toContain("OPS_POSTGRES_PASSWORD_FILE");
    const said = [...database.log, ...(await Promise.all(askAll(database).map(rejection))).map(everything)].join("\n");
    expect(said).not.toContain("not-the-password");
    password.newest = postgres.servicePassword;
    await allWork(database);
  });
});

test("a database that isn't there, or a grant, is unavailable and an ERROR that says what to do", async () => {
  const nowhere = new URL(postgres.serviceUrl);
  nowhere.pathname = "/nowhere";
  await using database = opened({ primary: nowhere.href });
  expect(databaseFailure(await rejection(rows(database.db, ONE)))).toBe("refused");
  expect(database.log.join()).toContain("the database that OPS_POSTGRES_URL names doesn't exist");
  await using other = opened(overLink());
  expect(databaseFailure(await rejection(rows(other.db, "delete from audit_event")))).toBe("refused");
  expect(other.log.join()).toContain("`migrate` grants");
});

async function canLock(database: OpenDatabase): Promise<boolean> {
  return (await database.tryLock("rotation")) !== undefined;
}

/** All that an error could tell, in whatever way it is printed. */
function everything(error: unknown): string {
  return `${inspect(error, { depth: 12 })} ${error instanceof Error ? JSON.stringify(error, Object.getOwnPropertyNames(error)) : ""}`;
}
