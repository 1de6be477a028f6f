import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSchema } from "../../src/db/schema-level.ts";
import { migrationFiles, type MigrationFile } from "../../src/db/migration-files.ts";
import { migrateDatabase } from "../../src/db/migrate.ts";
import { withOneConnection } from "../../src/db/one-connection.ts";
import { connectionTarget } from "../../src/db/connection-target.ts";
import { migrateCommand } from "../../src/migrate-command.ts";
import { StartError } from "../../src/start-error.ts";
import { startPostgres, type DatabaseUrls, type Postgres } from "../cluster/postgres.ts";
import { migrated, opened, rejection, rows } from "./opened-database.ts";

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres({ replica: false });
});
afterAll(() => postgres[Symbol.asyncDispose]());

let databases = 0;
const empty = (): Promise<DatabaseUrls> => postgres.createDatabase(`db${databases++}`);
const asOwner = <T>({ ownerUrl }: DatabaseUrls, work: Parameters<typeof withOneConnection<T>>[2]): Promise<T> =>
  withOneConnection(connectionTarget("OPS_POSTGRES_URL", ownerUrl, undefined), "test", work);

const future = (tag: string, statement: string, breaking?: string): MigrationFile => ({
  tag,
  madeAt: Date.now() * 2 + Number(breaking !== undefined),
  statements: [statement],
  hash: tag,
  breaking,
});

test("migrate brings an empty database to the schema, says what it did, and has nothing to do the second time", async () => {
  const urls = await empty();
  const first = await migrated(urls);
  for (const { tag } of migrationFiles()) expect(first).toContain(`applied ${tag}\n`);
  expect(first).toContain("ops_service on config_change: select, insert\n");
  const second = await migrated(urls);
  expect(second).toContain("the schema is up to date\n");
  expect(second).not.toContain("applied");
});

test("of many migrates at once each migration is applied by one, and all succeed", async () => {
  const urls = await empty();
  const outputs = await Promise.all(Array.from({ length: 4 }, () => migrated(urls)));
  expect(outputs.filter((output) => output.includes("applied"))).toHaveLength(1);
  const applied = await asOwner(urls, (db) =>
    rows<{ n: number }>(db, "select count(*)::int as n from drizzle.__drizzle_migrations"),
  );
  expect(applied).toEqual([{ n: migrationFiles().length }]);
  const stores = await asOwner(urls, (db) => rows(db, "select store_id from config_head"));
  expect(stores).toHaveLength(1);
});

test("a migration that fails leaves the database as it was", async () => {
  const urls = await empty();
  const broken = [...migrationFiles(), future("broken", "alter table nowhere add column x int")];
  await expect(asOwner(urls, (db) => migrateDatabase(db, { known: broken }))).rejects.toThrow();
  expect(await asOwner(urls, (db) => rows(db, "select 1 from pg_tables where schemaname = 'public'"))).toEqual([]);
});

describe("a service", () => {
  test("finds a database that was never migrated, or not far enough, too old", async () => {
    const urls = await empty();
    await using database = opened({ primary: urls.serviceUrl });
    expect(await checkSchema(database.db)).toMatchObject({
      state: "too old",
      text: expect.stringContaining("run the migrate command") as string,
    });
    await migrated(urls);
    expect(await checkSchema(database.db)).toEqual({ state: "ok" });
    const newer = [...migrationFiles(), future("next", "select 1")];
    expect(await checkSchema(database.db, newer)).toMatchObject({
      state: "too old",
      text: expect.stringContaining("next") as string,
    });
  });

  test("of an older release runs on a newer schema, until a breaking migration was applied", async () => {
    const urls = await empty();
    const [add, remove] = [
      future("add", "alter table operator add column extra text"),
      future("remove", "select 1", "extra is required"),
    ];
    await asOwner(urls, (db) => migrateDatabase(db, { known: [...migrationFiles(), add] }));
    await migrated(urls); // the older release's migrate, too, has nothing against it
    await using database = opened({ primary: urls.serviceUrl });
    expect(await checkSchema(database.db)).toEqual({ state: "ok" });
    await asOwner(urls, (db) => migrateDatabase(db, { known: [...migrationFiles(), add, remove] }));
    expect(await checkSchema(database.db)).toMatchObject({
      state: "newer and breaking",
      text: expect.stringContaining("extra is required") as string,
    });
    const refused = await rejection(migrated(urls));
    expect(refused).toBeInstanceOf(StartError);
    expect(refused.message).toContain("extra is required");
  });
});

test("a database that the first release's migrator made is taken over", async () => {
  const urls = await empty();
  const firstRelease = migrationFiles().slice(0, 3);
  await asOwner(urls, async (db) => {
    await migrateDatabase(db, { known: firstRelease });
    await rows(db, "alter table drizzle.__drizzle_migrations drop column breaking");
  });
  expect(await migrated(urls)).not.toContain(firstRelease[0]?.tag);
  await using database = opened({ primary: urls.serviceUrl });
  expect(await checkSchema(database.db)).toEqual({ state: "ok" });
});

describe("what a person can mend is said without a stack", () => {
  const migrate = (databaseUrl: string, serviceRole?: string): Promise<Error> =>
    rejection(migrateCommand({ databaseUrl, serviceRole, print: () => undefined }));

  test("a role that isn't there, or that could undo what it must not", async () => {
    const { ownerUrl } = await empty();
    await expect(migrate(ownerUrl, "nobody")).resolves.toMatchObject({
      name: "StartError",
      message: expect.stringContaining("create role nobody") as string,
    });
    for (const role of ["ops_owner", "postgres"]) {
      await expect(migrate(ownerUrl, role)).resolves.toMatchObject({
        name: "StartError",
        message: expect.stringContaining("a role of its own") as string,
      });
    }
  });

  test("the service's role can't migrate", async () => {
    const { serviceUrl } = await empty();
    await expect(migrate(serviceUrl, "ops_owner")).resolves.toMatchObject({
      name: "StartError",
      message: expect.stringContaining("needs the database's owner") as string,
    });
  });

  test("a wrong password, database, port or URL, and no text holds the URL or the password", async () => {
    const { ownerUrl } = await empty();
    const url = new URL(ownerUrl);
    const changed = (change: Partial<Pick<URL, "password" | "pathname" | "port">>): string =>
      Object.assign(new URL(url), change).href;
    const texts = [
      [changed({ password: "wrong-secret" }), "PostgreSQL refuses the password"],
      [changed({ pathname: "/nowhere" }), "doesn't exist"],
      [changed({ port: "1" }), "ECONNREFUSED"],
      [`${ownerUrl}?sslmode=verify-full`, "doesn't offer"],
      [ownerUrl.replace("postgres:", "mysql:"), "OPS_POSTGRES_URL"],
      [ownerUrl.replace(url.port, "port"), "OPS_POSTGRES_URL"],
    ] as const;
    for (const [wrong, text] of texts) {
      const error = await migrate(wrong);
      expect(error).toBeInstanceOf(StartError);
      expect(error.message).toContain(text);
      for (const secret of [url.password, "wrong-secret"]) {
        expect(`${error.stack} ${String(error.cause)} ${JSON.stringify(error.cause)}`).not.toContain(secret);
      }
    }
  });
});
