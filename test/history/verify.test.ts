import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { getTableName, sql, type SQL } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Transaction } from "../../src/db/db.ts";
import { configChange, configHead, operator } from "../../src/db/schema.ts";
import { verifyHistory, type Verification } from "../../src/history/verify.ts";
import { commit, created, openTestStore, operatorWith, updated, type TestStore } from "./store.ts";

const OPERATORS = 34;

let store: TestStore;
beforeAll(async () => {
  store = await openTestStore();
  // More rows than one batch holds, of operators (32) and of changes (64); every second one is deleted, the others route.
  const operators = Array.from({ length: OPERATORS }, (_, i) => routingOperator(`op-${String(i).padStart(2, "0")}`));
  for (const before of operators) await commit(store.history, [created(before)]);
  for (const [i, before] of operators.entries()) {
    await commit(store.history, [updated(before, i % 2 === 0 ? rename : remove)]);
  }
  const gone = operatorWith({ id: "gone" });
  await commit(store.history, [created(gone)]);
  await commit(store.history, [{ ...created(gone), kind: ChangeKind.PURGED }]);
  await commit(
    store.history,
    ["pair-b", "pair-a"].map((id) => created(operatorWith({ id }))),
  );
}, 120_000);
afterAll(() => store.close());

function routingOperator(id: string) {
  const coverage = [{ kind: { case: "mccmnc", value: "26201" } as const }];
  return operatorWith({
    id,
    adminState: AdminState.ENABLED,
    labels: { network: "d1", zone: "eu" },
    connections: { main: { adminState: AdminState.ENABLED, coverage } },
  });
}

function rename(operator: Operator): void {
  operator.displayName = "Changed";
}

function remove(operator: Operator): void {
  operator.deleteTime = create(TimestampSchema, { seconds: 1_700_000_000n, nanos: 123_456_000 });
  operator.purgeTime = create(TimestampSchema, { seconds: 1_702_592_000n, nanos: 123_456_000 });
}

/** Verifies the store as if `damage` had been done to it, and undoes it. */
async function verifyAfter(...damage: SQL[]): Promise<Verification> {
  let result: Verification | undefined;
  const undo = new Error("undo");
  await store.database.db
    .transaction(async (tx: Transaction) => {
      for (const statement of damage) await tx.execute(statement);
      result = await verifyHistory(tx);
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  if (result === undefined) throw new Error("not verified");
  return result;
}

test("an untouched history verifies, with its numbers", async () => {
  const { problems, revisions, operators, position } = await verifyHistory(store.database.db);
  expect(problems).toEqual([]);
  expect({ revisions, operators }).toEqual({ revisions: 2 * OPERATORS + 3, operators: OPERATORS + 2 });
  expect(position?.revision).toBe(BigInt(2 * OPERATORS + 3));
});

test("history that grows while it is verified verifies", async () => {
  const writing = Promise.all(
    Array.from({ length: 20 }, (_, i) => commit(store.history, [created(operatorWith({ id: `meanwhile-${i}` }))])),
  );
  const { problems } = await verifyHistory(store.database.db);
  await writing;
  expect(problems).toEqual([]);
  expect((await verifyHistory(store.database.db)).problems).toEqual([]);
});

test("a verification that nobody waits for stops", async () => {
  await expect(verifyHistory(store.database.db, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
});

/** Ways to change a value by as little as one byte, by SQL type; `c` stands for the column. None leaves it as it is. */
const changes: Readonly<Record<string, readonly string[]>> = {
  bytea: [
    ...["0", "1", "length(c) / 3", "length(c) / 2", "length(c) - 2", "length(c) - 1"].map(
      (offset) => `set_byte(c, ${offset}, get_byte(c, ${offset}) # 1)`,
    ),
    "set_byte(c, 0, get_byte(c, 0) # 128)",
    "c || '\\x00'::bytea",
    "substr(c, 1, length(c) - 1)",
    "''::bytea",
  ],
  bigint: ["c + 1", "c - 1", "c + 1000", "c - 1000"],
  integer: ["c + 1", "c - 1"],
  text: ["c || ' '", "overlay(c placing '_' from 1 for 1)", "''"],
  uuid: ["translate(c::text, '0123456789abcdef', '1032547698badcfe')::uuid", "gen_random_uuid()"],
  "timestamp (6) with time zone": [
    "coalesce(c, now()) + interval '1 microsecond'",
    "coalesce(c, now()) - interval '1 microsecond'",
    "'infinity'",
    "'-infinity'",
  ],
  "text[]": ["c || 'any more'::text", "c || null::text", "array[array['a'], array['b']]"],
};

const tables = [
  { table: configChange, key: "revision, operator_uid" },
  { table: configHead, key: "one" },
  { table: operator, key: "uid" },
];

const cells = tables.flatMap(({ table, key }) =>
  getTableConfig(table)
    .columns.filter((column) => column.name !== "one")
    .flatMap((column) =>
      (table === configHead ? ["only"] : ["first", "middle", "last"]).map((row) => ({
        table: getTableName(table),
        column: column.name,
        type: column.getSQLType(),
        row,
        key,
      })),
    ),
);

const offsets: Readonly<Record<string, string>> = {
  only: "0",
  first: "0",
  middle: "(select count(*) / 2 from t)",
  last: "(select count(*) - 1 from t)",
};

test.each(cells)(
  "a change of $column in the $row row of $table is found",
  async ({ table, column, type, row, key }) => {
    const offset = offsets[row]?.replace("from t", `from ${table}`);
    const unnoticed: string[] = [];
    for (const change of changes[type] ?? []) {
      const value = change.replace(/\bc\b/g, column);
      const damage = `update ${table} set ${column} = ${value}
      where ctid = (select ctid from ${table} order by ${key} offset ${offset} limit 1)`;
      const { problems } = await verifyAfter(sql.raw(damage));
      const named = problems.some((problem) => problem.table === table && problem.text.startsWith(`${column}:`));
      // A change of a whole row's key shows as an unknown row and a missing one; of a record, at the head.
      const noticed = table === "operator" && column !== "uid" ? named : problems.length > 0;
      if (!noticed) unnoticed.push(value);
    }
    expect(changes[type]?.length).toBeGreaterThan(1);
    expect(unnoticed).toEqual([]);
  },
);

test("the head can't become a second row: the database refuses", async () => {
  await expect(verifyAfter(sql`update config_head set one = false`)).rejects.toMatchObject({
    cause: { code: "23514" },
  });
});

const someChange = "select ctid from config_change order by revision, operator_uid";
const someOperator = "select ctid from operator order by uid";

test.each([
  ["the first change is gone", `delete from config_change where ctid = (${someChange} limit 1)`],
  ["a change in the middle is gone", `delete from config_change where ctid = (${someChange} offset 50 limit 1)`],
  ["the last change is gone", `delete from config_change where ctid = (${someChange} desc limit 1)`],
  ["one of a revision's two changes is gone", "delete from config_change where operator_id = 'pair-a'"],
  ["all changes are gone", "delete from config_change"],
  [
    "a change was put in front",
    "insert into config_change select 0, operator_uid, operator_id, record from config_change where revision = 1",
  ],
  [
    "a change was added to a revision",
    "insert into config_change select revision, gen_random_uuid(), operator_id, record from config_change where revision = 1",
  ],
  [
    "a change was added behind the head",
    "insert into config_change select revision + 1000, operator_uid, operator_id, record from config_change where operator_id = 'gone' order by revision desc limit 1",
  ],
  [
    "two changes changed places",
    "update config_change set record = (select record from config_change c where c.revision = 3 - config_change.revision) where revision in (1, 2)",
  ],
  ["an operator's row is gone", `delete from operator where ctid = (${someOperator} offset 20 limit 1)`],
  ["all operators' rows are gone", "delete from operator"],
  [
    "an operator's row was added",
    "insert into operator select gen_random_uuid(), id || '-copy', revision, record, digest, spec_digest, kind, admin_state, delete_time, purge_time, live_coverage from operator where id = 'op-07'",
  ],
  [
    "a purged operator's row is back",
    "insert into operator select c.operator_uid, 'gone', c.revision, o.record, o.digest, o.spec_digest, o.kind, o.admin_state, o.delete_time, o.purge_time, o.live_coverage from operator o, config_change c where o.id = 'op-07' and c.operator_id = 'gone' order by c.revision limit 1",
  ],
  ["the head is gone", "delete from config_head"],
])("it is found when %s", async (_name, damage) => {
  const { problems } = await verifyAfter(sql.raw(damage));
  expect(problems.length).toBeGreaterThan(0);
});

test("at most a hundred problems are listed", async () => {
  const { problems } = await verifyAfter(
    sql`update config_change set record = '\xff'`,
    sql`update operator set kind = 'X'`,
  );
  expect(problems).toHaveLength(100);
});
