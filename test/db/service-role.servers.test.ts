import { getTableName } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sqlState } from "../../src/db/database-error.ts";
import * as schema from "../../src/db/schema.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { migrated, opened, rejection, rows, type OpenedDatabase } from "./opened-database.ts";

let postgres: Postgres;
let database: OpenedDatabase;
beforeAll(async () => {
  postgres = await startPostgres({ replica: false });
  await migrated(postgres);
  database = opened({ primary: postgres.serviceUrl });
});
afterAll(async () => {
  await database.close();
  await postgres[Symbol.asyncDispose]();
});

const refused = async (statement: string): Promise<void> => {
  expect(sqlState(await rejection(rows(database.db, statement))), statement).toBe("42501");
};

describe("the service's role", () => {
  test.each(["config_change", "audit_event"])("can't change or remove what is in %s", async (table) => {
    const column = table === "config_change" ? "operator_id" : "target";
    await refused(`update ${table} set ${column} = 'x'`);
    await refused(`delete from ${table}`);
    await refused(`truncate ${table}`);
    await refused(`alter table ${table} disable trigger all`);
    await refused(`drop table ${table}`);
    await refused(`alter table ${table} owner to ops_service`);
    await refused(`create rule nothing as on insert to ${table} do instead nothing`);
  });

  test("can neither make tables nor alter any, nor empty them, nor give itself more", async () => {
    await refused("create table mine (x int)");
    await refused("create table drizzle.mine (x int)");
    await refused("create schema mine");
    for (const table of Object.values(schema).map((each) => getTableName(each))) {
      await refused(`alter table ${table} add column mine int`);
      await refused(`truncate ${table}`);
      await refused(
        `create trigger mine before insert on ${table} execute function suppress_redundant_updates_trigger()`,
      );
    }
    await refused("insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', 1)");
    await refused("delete from config_head");
    await refused("insert into config_head select * from config_head");
    await refused("set role ops_owner");
    // PostgreSQL only warns of grants that give nothing.
    await rows(database.db, "grant delete on config_change to ops_service").catch(() => undefined);
    await refused("delete from config_change");
  });

  test("has lost what it had before, and nobody else has anything", async () => {
    const other = await postgres.createDatabase("granted");
    await migrated(other);
    await postgres.primary.query("grant all on all tables in schema public to ops_service, public", [], "granted");
    await migrated(other);
    const grants = await postgres.primary.query<{ grantee: string; table: string; privileges: string }>(
      `select grantee, table_name as table, string_agg(privilege_type, ',' order by privilege_type) as privileges
       from information_schema.table_privileges where table_schema = 'public' and grantee <> 'ops_owner' group by 1, 2 order by 2`,
      [],
      "granted",
    );
    expect(new Set(grants.map(({ grantee }) => grantee))).toEqual(new Set(["ops_service"]));
    expect(Object.fromEntries(grants.map(({ table, privileges }) => [table, privileges]))).toEqual({
      audit_event: "INSERT,SELECT",
      config_change: "INSERT,SELECT",
      config_head: "SELECT,UPDATE",
      credential: "INSERT,SELECT,UPDATE",
      health_transition: "DELETE,INSERT,SELECT",
      node_status: "DELETE,INSERT,SELECT,UPDATE",
      operator: "DELETE,INSERT,SELECT,UPDATE",
      request_log: "DELETE,INSERT,SELECT,UPDATE",
    });
  });
});
