import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { decodeToken } from "@operator-management/client";
import { CreateOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { History } from "../../src/history/commit.ts";
import { verifyHistory } from "../../src/history/verify.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { commit, created, operatorWith } from "../history/store.ts";
import { migrated, opened, type OpenedDatabase } from "./opened-database.ts";

let postgres: Postgres;
let databases: OpenedDatabase[];
let histories: History[];
beforeAll(async () => {
  postgres = await startPostgres({ replica: false });
  await migrated(postgres);
  databases = [opened({ primary: postgres.serviceUrl }), opened({ primary: postgres.serviceUrl })];
  histories = databases.map(({ db }) => new History({ db, onCommit: () => undefined }));
});
afterAll(async () => {
  await Promise.all(databases.map((database) => database.close()));
  await postgres[Symbol.asyncDispose]();
});

const verified = async () => {
  const { problems, revisions } = await verifyHistory(databases[0]?.db ?? expect.fail());
  expect(problems).toEqual([]);
  return revisions;
};

test("two services that write at once make one history: contiguous, chained, without a deadlock", async () => {
  const before = await verified();
  const replies = await Promise.all(
    Array.from({ length: 60 }, (_, i) => {
      const history = histories[i % 2] ?? expect.fail();
      return commit(history, [created(operatorWith({ id: `two-${i}` }))], { requestId: randomUUID() });
    }),
  );
  const revisions = replies.map(({ token }) => Number(decodeToken(token)?.revision)).sort((a, b) => a - b);
  expect(revisions).toEqual(Array.from({ length: 60 }, (_, i) => before + i + 1));
  expect(await verified()).toBe(before + 60);
});

test("one request id at once on two services is one revision, and both give the same reply", async () => {
  const before = await verified();
  for (let i = 0; i < 10; i++) {
    const requestId = randomUUID();
    const message = create(CreateOperatorRequestSchema, { operatorId: `same-${i}`, requestId });
    const replies = await Promise.all(
      [...histories, ...histories].map((history) =>
        commit(history, [created(operatorWith({ id: `same-${i}` }))], { requestId, message }),
      ),
    );
    for (const reply of replies) expect(reply).toEqual(replies[0]);
  }
  expect(await verified()).toBe(before + 10);
});
