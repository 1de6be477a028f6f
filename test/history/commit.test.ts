import { once } from "node:events";
import { fromBinary } from "@bufbuild/protobuf";
import { decodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { count, eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditEvent, configChange, configHead, operator, requestLog } from "../../src/db/schema.ts";
import { findOperator, liveCoverageOfOthers } from "../../src/history/find-operator.ts";
import { genesis, nextFingerprint, sha256 } from "../../src/history/fingerprint.ts";
import { CONFIG_CHANGED } from "../../src/history/write-revision.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { commit, created, openTestStore, operatorWith, updated, type TestStore } from "./store.ts";

let store: TestStore;
beforeAll(async () => {
  store = await openTestStore();
});
afterAll(() => store.close());

const head = async () => {
  const [row] = await store.database.db.select().from(configHead);
  if (row === undefined) throw new Error("no head");
  return row;
};
const revisionOf = (token: string) => decodeToken(token)?.revision;

/** The number of rows of every table that a change may write. */
async function rowCounts(): Promise<number[]> {
  const counts = [configChange, operator, requestLog, auditEvent].map((table) =>
    store.database.db.select({ rows: count() }).from(table),
  );
  return (await Promise.all(counts)).map(([row]) => row?.rows ?? -1);
}

test("a new database has a store id, revision 0 and the genesis fingerprint", async () => {
  const { storeId, revision, fingerprint, chain } = await head();
  expect(storeId).toHaveLength(16);
  expect({ revision, chain }).toEqual({ revision: 0n, chain: 1 });
  expect(fingerprint).toEqual(genesis(storeId));
});

test("fifty changes at once make fifty contiguous revisions, chained, in commit order", async () => {
  const before = await head();
  const replies = await Promise.all(
    Array.from({ length: 50 }, (_, i) => commit(store.history, [created(operatorWith({ id: `parallel-${i}` }))])),
  );
  const revisions = replies.map(({ token }) => revisionOf(token) ?? -1n).sort((a, b) => Number(a - b));
  expect(revisions).toEqual(Array.from({ length: 50 }, (_, i) => before.revision + BigInt(i + 1)));

  const rows = await store.database.db.select().from(configChange).orderBy(configChange.revision);
  let fingerprint = genesis(before.storeId);
  let lastCommit = 0;
  for (const { revision, operatorId, record } of rows) {
    fingerprint = nextFingerprint(fingerprint, revision, [{ operatorId, digest: sha256(record) }]);
    const { commitTime } = fromBinary(ConfigChangeSchema, record);
    const micros = Number(commitTime?.seconds) * 1e6 + (commitTime?.nanos ?? 0) / 1e3;
    expect(micros).toBeGreaterThanOrEqual(lastCommit);
    lastCommit = micros;
  }
  expect((await head()).fingerprint).toEqual(fingerprint);
  const last = replies.find(({ token }) => revisionOf(token) === revisions.at(-1));
  expect(decodeToken(last?.token ?? "")?.fingerprint).toEqual(fingerprint);
});

test("an operator is encoded once: history, current row and digests share the bytes", async () => {
  const acme = operatorWith({ id: "encoded", labels: { b: "2", a: "1" } });
  const { token } = await commit(store.history, [created(acme)], { reason: "first" });
  const [row] = await store.database.db.select().from(operator).where(eq(operator.id, "encoded"));
  const [change] = await store.database.db.select().from(configChange).where(eq(configChange.operatorUid, acme.uid));
  const record = fromBinary(ConfigChangeSchema, change?.record ?? new Uint8Array());
  expect(record).toMatchObject({ uid: acme.uid, operatorId: "encoded", reason: "first", revision: revisionOf(token) });
  expect(record.actor?.principal).toBe("ann");
  expect(row?.record).toEqual(record.operator);
  expect(row?.digest).toEqual(sha256(record.operator));
  expect(await findOperator(store.database.db, "encoded")).toEqual(acme);
});

test("a change of several operators is one revision", async () => {
  const before = (await head()).revision;
  const { token } = await commit(
    store.history,
    ["many-a", "many-b"].map((id) => created(operatorWith({ id }))),
  );
  expect(revisionOf(token)).toBe(before + 1n);
  const rows = await store.database.db
    .select()
    .from(configChange)
    .where(eq(configChange.revision, before + 1n));
  expect(rows.map((row) => row.operatorId).sort()).toEqual(["many-a", "many-b"]);
});

test("a change without effect makes no revision, and its token is the current position", async () => {
  const before = await head();
  const commits = store.commits();
  const { token } = await commit(store.history, []);
  expect(decodeToken(token)).toMatchObject({ revision: before.revision, fingerprint: before.fingerprint });
  expect(await head()).toEqual(before);
  expect(store.commits()).toBe(commits);
});

test("validate_only leaves no trace and gives no token", async () => {
  const before = [await head(), await rowCounts()];
  let extra = false;
  const { token, operator: shown } = await commit(
    store.history,
    [created(operatorWith({ id: "ghost" }))],
    { validateOnly: true, requestId: crypto.randomUUID() },
    async () => {
      extra = true;
    },
  );
  expect({ token, id: shown?.id, extra }).toEqual({ token: "", id: "ghost", extra: false });
  expect([await head(), await rowCounts()]).toEqual(before);
});

test("when a part of the change fails, nothing of it is kept", async () => {
  const before = [await head(), await rowCounts()];
  const change = commit(store.history, [created(operatorWith({ id: "torn" }))], {}, async () => {
    throw new Error("on purpose");
  });
  await expect(change).rejects.toThrow("on purpose");
  expect([await head(), await rowCounts()]).toEqual(before);
});

test("a call that was given up while it waited is not committed", async () => {
  const before = await head();
  const abort = new AbortController();
  const change = commit(store.history, [created(operatorWith({ id: "late" }))], { signal: abort.signal }, async () =>
    abort.abort(new Error("deadline")),
  );
  await expect(change).rejects.toThrow("deadline");
  expect(await head()).toEqual(before);
});

test("commit times never go back, even if the clock does", async () => {
  await store.database.db.update(configHead).set({ commitTime: sql`now() + interval '1 hour'` });
  const before = await head();
  await commit(store.history, [created(operatorWith({ id: "future" }))]);
  expect((await head()).commitTime).toEqual(before.commitTime);
});

test("a purge frees the id for another operator and stays in history without content", async () => {
  const first = operatorWith({ id: "again" });
  await commit(store.history, [created(first)]);
  await commit(store.history, [{ ...created(first), kind: ChangeKind.PURGED }]);
  expect(await findOperator(store.database.db, "again")).toBeUndefined();
  const second = operatorWith({ id: "again" });
  await commit(store.history, [created(second)]);
  expect((await findOperator(store.database.db, "again"))?.uid).toBe(second.uid);
});

test("an update replaces the current row and keeps the history", async () => {
  const before = operatorWith({ id: "edited" });
  await commit(store.history, [created(before)]);
  await commit(store.history, [updated(before, (after) => (after.displayName = "Edited"))]);
  expect((await findOperator(store.database.db, "edited"))?.displayName).toBe("Edited");
  const rows = await store.database.db.select().from(configChange).where(eq(configChange.operatorUid, before.uid));
  expect(rows).toHaveLength(2);
});

test("a revision wakes listeners and calls onCommit", async () => {
  const events = new EventTarget();
  const unlisten = await store.database.listen(CONFIG_CHANGED, () => events.dispatchEvent(new Event("notified")));
  const notified = once(events, "notified");
  const commits = store.commits();
  await commit(store.history, [created(operatorWith({ id: "notified" }))]);
  await notified;
  expect(store.commits()).toBe(commits + 1);
  await unlisten();
});

test("each mutation leaves one audit event with actor, target and revision", async () => {
  const { token } = await commit(store.history, [created(operatorWith({ id: "audited" }))], {
    reason: "for the record",
  });
  const events = await store.database.db.select().from(auditEvent).orderBy(auditEvent.id);
  expect(events.at(-1)).toMatchObject({
    actorPrincipal: "ann",
    actorKind: "ADMIN",
    source: "127.0.0.1",
    method: "CreateOperator",
    target: "operators/acme",
    result: "OK",
    detail: { reason: "for the record", revision: String(revisionOf(token)) },
  });
});

test("a coverage key finds the other operators that route it now", async () => {
  const { db } = store.database;
  await db
    .update(operator)
    .set({ liveCoverage: ["any", "mccmnc:26201"] })
    .where(eq(operator.id, "edited"));
  expect(await liveCoverageOfOthers(db, "acme", ["mccmnc:26201", "mcc:262"])).toEqual([["any", "mccmnc:26201"]]);
  expect(await liveCoverageOfOthers(db, "edited", ["mccmnc:26201"])).toEqual([]);
  expect(await liveCoverageOfOthers(db, "acme", [])).toEqual([]);
});

describe("limits", () => {
  const notes = (length: number) => "x".repeat(length);

  test.each([
    ["an operator above 256 KiB", () => [created(operatorWith({ id: "big", notes: notes(262_144) }))]],
    [
      "a revision above 2 MiB",
      () => Array.from({ length: 9 }, (_, i) => created(operatorWith({ id: `big-${i}`, notes: notes(250_000) }))),
    ],
    [
      "more than 1,000 operators",
      () => Array.from({ length: 1_001 }, (_, i) => created(operatorWith({ id: `small-${i}` }))),
    ],
  ])("%s is TOO_LARGE, also for validate_only", async (_name, changes) => {
    const before = await head();
    for (const validateOnly of [false, true]) {
      const error = await commit(store.history, changes(), { validateOnly }).catch((thrown: unknown) => thrown);
      expect(reasonOf(error)).toBe(ErrorReason.TOO_LARGE);
    }
    expect(await head()).toEqual(before);
  });

  test("1,000 operators fit in one revision", async () => {
    const before = await head();
    const changes = Array.from({ length: 1_000 }, (_, i) => created(operatorWith({ id: `fits-${i}` })));
    const { token } = await commit(store.history, changes);
    expect(revisionOf(token)).toBe(before.revision + 1n);
  });
});
