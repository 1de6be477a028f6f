import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  CreateOperatorRequestSchema,
  SetConnectionCredentialRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { count, eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configChange, requestLog } from "../../src/db/schema.ts";
import { History, type ChangeRequest } from "../../src/history/commit.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { admin, commit, created, openTestStore, operatorWith, type TestStore } from "./store.ts";

let store: TestStore;
beforeAll(async () => {
  store = await openTestStore();
});
afterAll(() => store.close());

/** A call that creates the operator, decided anew each time as a handler would. */
function createOperator(
  id: string,
  requestId: string,
  overrides: Partial<ChangeRequest> = {},
  init: MessageInitShape<typeof CreateOperatorRequestSchema> = {},
) {
  const message = create(CreateOperatorRequestSchema, { operatorId: id, requestId, ...init });
  return commit(store.history, [created(operatorWith({ id }))], { requestId, message, ...overrides });
}

async function changesOf(id: string): Promise<number> {
  const [row] = await store.database.db
    .select({ rows: count() })
    .from(configChange)
    .where(eq(configChange.operatorId, id));
  return row?.rows ?? 0;
}

test("one request id sent many times at once is done once, and every call gets the same reply", async () => {
  const requestId = crypto.randomUUID();
  const replies = await Promise.all(Array.from({ length: 20 }, () => createOperator("once", requestId)));
  expect(new Set(replies.map(({ token }) => token)).size).toBe(1);
  expect(new Set(replies.map((reply) => reply.operator?.uid)).size).toBe(1);
  expect(await changesOf("once")).toBe(1);
});

test("a repeated call without effect gets the first reply too, whatever happened since", async () => {
  const requestId = crypto.randomUUID();
  const first = await commit(store.history, [], { requestId });
  await createOperator("between", crypto.randomUUID());
  expect(await commit(store.history, [], { requestId })).toEqual(first);
});

test("the same id with other content is REQUEST_ID_REUSED and changes nothing", async () => {
  const requestId = crypto.randomUUID();
  await createOperator("first-content", requestId);
  const error = await createOperator("other-content", requestId).catch((thrown: unknown) => thrown);
  expect(reasonOf(error)).toBe(ErrorReason.REQUEST_ID_REUSED);
  expect(await changesOf("other-content")).toBe(0);
});

test("ids of another principal or another method are others", async () => {
  const requestId = crypto.randomUUID();
  await createOperator("by-ann", requestId);
  await createOperator("by-bob", requestId, { caller: admin("bob") });
  await createOperator("by-update", requestId, { method: "UpdateOperator" });
  expect([await changesOf("by-bob"), await changesOf("by-update")]).toEqual([1, 1]);
});

test("a failed call is not remembered", async () => {
  const requestId = crypto.randomUUID();
  const failing = store.history.change(
    {
      caller: admin("ann"),
      method: "CreateOperator",
      reason: "",
      requestId,
      message: create(CreateOperatorRequestSchema),
      validateOnly: false,
    },
    CreateOperatorRequestSchema,
    () => Promise.reject(new Error("refused")),
  );
  await expect(failing).rejects.toThrow("refused");
  await createOperator("after-failure", requestId);
  expect(await changesOf("after-failure")).toBe(1);
});

test("the order of map entries is no other content", async () => {
  const requestId = crypto.randomUUID();
  const first = await createOperator("ordered", requestId, {}, { operator: { labels: { a: "1", b: "2" } } });
  const again = await createOperator("ordered", requestId, {}, { operator: { labels: { b: "2", a: "1" } } });
  expect(again).toEqual(first);
});

test("secret fields don't count: neither they nor their digest are in the log", async () => {
  const requestId = crypto.randomUUID();
  const call = (password: string) =>
    commit(store.history, [], {
      requestId,
      method: "SetConnectionCredential",
      message: create(SetConnectionCredentialRequestSchema, { operatorId: "acme", password }),
    });
  await call("one");
  await expect(call("two")).resolves.toBeDefined();
  const hashes = await store.database.db
    .select({ hash: requestLog.requestHash })
    .from(requestLog)
    .where(eq(requestLog.requestId, requestId));
  expect(hashes).toHaveLength(1);
});

test("after 24 hours an id is free again", async () => {
  const requestId = crypto.randomUUID();
  await createOperator("yesterday", requestId);
  await store.database.db
    .update(requestLog)
    .set({ createTime: sql`now() - interval '24 hours 1 second'` })
    .where(eq(requestLog.requestId, requestId));
  await createOperator("today", requestId);
  expect(await changesOf("today")).toBe(1);
});

test("forgotten ids are removed little by little by later changes", async () => {
  const { db } = store.database;
  await db.insert(requestLog).select(
    db
      .select({
        principal: sql<string>`'old'`.as("principal"),
        method: sql<string>`'CreateOperator'`.as("method"),
        requestId: sql<string>`gen_random_uuid()`.as("request_id"),
        requestHash: sql<Uint8Array>`''::bytea`.as("request_hash"),
        reply: sql<Uint8Array>`''::bytea`.as("reply"),
        revision: sql<bigint>`1`.as("revision"),
        createTime: sql<never>`now() - interval '2 days'`.as("create_time"),
      })
      .from(sql`generate_series(1, 1200)`),
  );
  const old = async () => {
    const [row] = await db.select({ rows: count() }).from(requestLog).where(eq(requestLog.principal, "old"));
    return row?.rows;
  };
  expect(await old()).toBe(1_200);
  // A fresh History purges at its first commit, and at each one after as long as there is more.
  const restarted = new History({ db, onCommit: () => undefined });
  const left: (number | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    await commit(restarted, []);
    left.push(await old());
  }
  expect(left).toEqual([700, 200, 0]);
});
