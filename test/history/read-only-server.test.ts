import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { History } from "../../src/history/commit.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { commit, created, openTestStore, operatorWith } from "./store.ts";

test("a server that refuses writes is reported as no primary, and its caller may try again; other failures are not", async () => {
  const store = await openTestStore();
  const { db } = store.database;
  let reported = 0;
  const history = new History({ db, onCommit: () => undefined, onStandby: () => reported++ });
  const write = (): Promise<unknown> => commit(history, [created(operatorWith({ id: "acme" }))]).catch(reasonOf);

  await db.execute(sql`alter table config_head rename to config_head_away`);
  await write();
  expect(reported).toBe(0);
  await db.execute(sql`alter table config_head_away rename to config_head`);

  await db.execute(sql`set default_transaction_read_only = on`);
  expect(await write()).toBe(ErrorReason.DATABASE_UNAVAILABLE);
  expect(reported).toBe(1);
  await store.close();
});
