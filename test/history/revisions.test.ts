import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { encodeToken } from "@operator-management/client";
import { ErrorReason, FieldChangeSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Tail } from "../../src/catalog/tail.ts";
import { readHead } from "../../src/history/head.ts";
import { revisionHandlers } from "../../src/history/revision-handlers.ts";
import { verifyHandler } from "../../src/history/verify-handler.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { commit, created, openTestStore, operatorWith, updated, type TestStore } from "./store.ts";

let store: TestStore;
const catalog = new Catalog();
let tail: Tail;
beforeAll(async () => {
  store = await openTestStore();
  tail = Tail.start({ database: store.database, catalog, logger: pino({ enabled: false }) });
  await tail.loaded;
});
afterAll(async () => {
  await tail.close();
  await store.close();
});

/** A client of the handlers alone: over no network. */
function client() {
  const { database } = store;
  const transport = createRouterTransport(({ service }) =>
    service(OperatorAdminService, {
      ...revisionHandlers({ database, catalog, wake: () => tail.wake() }),
      ...verifyHandler({ db: database.db }),
    }),
  );
  return createClient(OperatorAdminService, transport);
}

/** Creates the operator and edits it until it has this many revisions. */
async function withRevisions(id: string, revisions: number, notes = ""): Promise<void> {
  let change = created(operatorWith({ id, notes, etag: "etag-1" }));
  await commit(store.history, [change]);
  for (let i = 2; i <= revisions; i++) {
    change = updated(change.after, (after) => (after.etag = `etag-${i}`));
    await commit(store.history, [change], { reason: `edit ${i}` });
  }
}

const reasonOfFailure = (call: Promise<unknown>) => call.then(() => undefined, reasonOf);

test("revisions are listed newest first, with who, why and the etag after each", async () => {
  await withRevisions("listed", 3);
  const { revisions, nextPageToken, token } = await client().listOperatorRevisions({ operatorId: "listed" });
  expect(revisions.map(({ etag }) => etag)).toEqual(["etag-3", "etag-2", "etag-1"]);
  expect(revisions.map(({ kind }) => kind)).toEqual([ChangeKind.UPDATED, ChangeKind.UPDATED, ChangeKind.CREATED]);
  expect(revisions[0]).toMatchObject({ reason: "edit 3", actor: { principal: "ann" } });
  expect(revisions[0]?.commitTime).toBeDefined();
  expect(nextPageToken).toBe("");
  expect(token).not.toBe("");
});

test("pages join without gap or repeat, and carry the first page's token while history goes on", async () => {
  await withRevisions("paged", 10);
  const etags: string[] = [];
  const tokens = new Set<string>();
  let pageToken = "";
  do {
    const page = await client().listOperatorRevisions({ operatorId: "paged", pageSize: 3, pageToken });
    etags.push(...page.revisions.map(({ etag }) => etag));
    tokens.add(page.token);
    pageToken = page.nextPageToken;
    await commit(store.history, [created(operatorWith({ id: `beside-${etags.length}` }))]);
  } while (pageToken !== "");
  expect(etags).toEqual(Array.from({ length: 10 }, (_, i) => `etag-${10 - i}`));
  expect(tokens.size).toBe(1);
});

test("a page of many revisions has each once", async () => {
  await withRevisions("long", 70);
  const { revisions, nextPageToken } = await client().listOperatorRevisions({ operatorId: "long", pageSize: 1000 });
  expect(revisions.map(({ etag }) => etag)).toEqual(Array.from({ length: 70 }, (_, i) => `etag-${70 - i}`));
  expect(nextPageToken).toBe("");
});

test("a page ends before it is larger than 3 MiB", async () => {
  const diff = Array.from({ length: 200 }, (_, i) =>
    create(FieldChangeSchema, { path: `labels.l${i}`, oldValue: "x".repeat(1_000), newValue: "y".repeat(1_000) }),
  );
  let change = { ...created(operatorWith({ id: "wordy" })), diff };
  await commit(store.history, [change]);
  for (let i = 0; i < 9; i++) {
    change = { ...updated(change.after, (after) => (after.displayName = `n${i}`)), diff };
    await commit(store.history, [change]);
  }
  const first = await client().listOperatorRevisions({ operatorId: "wordy", pageSize: 100 });
  expect(first.revisions).toHaveLength(7);
  const { nextPageToken: pageToken } = first;
  const second = await client().listOperatorRevisions({ operatorId: "wordy", pageSize: 100, pageToken });
  expect(second.revisions).toHaveLength(3);
  expect(second.nextPageToken).toBe("");
});

test("a diff of more than 200 fields is cut, and says so", async () => {
  const diff = Array.from({ length: 201 }, (_, i) => create(FieldChangeSchema, { path: `labels.l${i}` }));
  await commit(store.history, [{ ...created(operatorWith({ id: "cut" })), diff }]);
  const { revisions } = await client().listOperatorRevisions({ operatorId: "cut" });
  expect(revisions[0]?.changes).toHaveLength(200);
  expect(revisions[0]?.changesTruncated).toBe(true);
});

test("one revision shows the operator as it was, also when it is deleted now", async () => {
  const before = operatorWith({ id: "was", displayName: "Before" });
  await commit(store.history, [created(before)]);
  const deletion = updated(before, (after) => {
    after.displayName = "After";
    after.deleteTime = { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 0 };
  });
  await commit(store.history, [{ ...deletion, kind: ChangeKind.DELETED }]);
  const { revisions } = await client().listOperatorRevisions({ operatorId: "was" });
  const shown = await Promise.all(
    revisions.map(({ revisionId }) => client().getOperatorRevision({ operatorId: "was", revisionId })),
  );
  expect(shown.map(({ operator }) => operator?.displayName)).toEqual(["After", "Before"]);
  expect(shown.map(({ revision }) => revision)).toEqual(revisions);
});

test("a purged operator's revisions are not those of the next one with its id", async () => {
  const first = operatorWith({ id: "reused" });
  await commit(store.history, [created(first)]);
  await commit(store.history, [{ ...created(first), kind: ChangeKind.PURGED }]);
  expect(await reasonOfFailure(client().listOperatorRevisions({ operatorId: "reused" }))).toBe(
    ErrorReason.OPERATOR_NOT_FOUND,
  );
  await commit(store.history, [created(operatorWith({ id: "reused" }))]);
  expect((await client().listOperatorRevisions({ operatorId: "reused" })).revisions).toHaveLength(1);
});

test("what isn't there is named by its own reason", async () => {
  await withRevisions("there", 1);
  const calls = client();
  const page = await calls.listOperatorRevisions({ operatorId: "wordy", pageSize: 1 });
  const reasons = await Promise.all(
    [
      calls.listOperatorRevisions({ operatorId: "nobody" }),
      calls.getOperatorRevision({ operatorId: "nobody", revisionId: "1" }),
      calls.getOperatorRevision({ operatorId: "there", revisionId: "1" }),
      calls.getOperatorRevision({ operatorId: "there", revisionId: "999999999999999999" }),
      calls.listOperatorRevisions({ operatorId: "there", pageToken: page.nextPageToken }),
    ].map(reasonOfFailure),
  );
  expect(reasons).toEqual([
    ErrorReason.OPERATOR_NOT_FOUND,
    ErrorReason.OPERATOR_NOT_FOUND,
    ErrorReason.REVISION_NOT_FOUND,
    ErrorReason.REVISION_NOT_FOUND,
    ErrorReason.PAGE_TOKEN_INVALID,
  ]);
});

test("VerifyHistory answers with the head's fingerprint, and with problems instead of an error", async () => {
  const good = await client().verifyHistory({});
  const { position } = await readHead(store.database.db);
  expect(good).toMatchObject({ valid: true, problems: [], token: encodeToken(position) });
  expect(good.headFingerprint).toBe(Buffer.from(position.fingerprint).toString("hex"));
  await store.database.db.execute(sql`update operator set digest = '\\x00' where id = 'there'`);
  const bad = await client().verifyHistory({});
  expect(bad).toMatchObject({ valid: false, problems: [{ table: "operator" }] });
  await store.database.db.execute(sql`update config_head set revision = -1`);
  expect(await client().verifyHistory({})).toMatchObject({ valid: false, token: "" });
});
