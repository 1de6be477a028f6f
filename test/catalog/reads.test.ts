import { randomBytes } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { decodeToken, encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { sql } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { useFollowedStore } from "./support/followed-store.ts";
import { readClients } from "./support/read-clients.ts";
import { until } from "./support/until.ts";

const followed = useFollowedStore();

async function reasonFor(call: Promise<unknown>): Promise<ErrorReason | undefined> {
  return call.then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}

async function clients() {
  const { catalog, tail } = await followed.follow();
  return { catalog, tail, ...readClients(catalog, followed.store) };
}

function ids(reply: { operators: readonly { id: string }[] }): string[] {
  return reply.operators.map((operator) => operator.id);
}

describe("one operator", () => {
  test("is the same for admins and the mesh, at the position of its token", async () => {
    const position = await followed.store.commit({ put: "a", with: { notes: "ü 漢", connections: { main: {} } } });
    const { admin, mesh } = await clients();
    const reply = await admin.getOperator({ operatorId: "a" });
    expect(reply.operator?.notes).toBe("ü 漢");
    expect(reply.token).toBe(encodeToken(position));
    expect((await mesh.getOperator({ operatorId: "a" })).operator).toEqual(reply.operator);
    expect((await mesh.batchGetOperators({ operatorIds: ["b", "a", "c"] })).operators).toEqual([reply.operator]);
  });

  test("that is deleted is there for admins only", async () => {
    const { store } = followed;
    await store.commit({ put: "a" });
    await store.commit({ delete: "a" });
    const { admin, mesh } = await clients();
    expect((await admin.getOperator({ operatorId: "a" })).operator?.deleteTime).toBeDefined();
    expect(await reasonFor(mesh.getOperator({ operatorId: "a" }))).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reasonFor(admin.getOperator({ operatorId: "b" }))).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    await store.commit({ purge: "a" });
    expect(await reasonFor(admin.getOperator({ operatorId: "a" }))).toBe(ErrorReason.OPERATOR_NOT_FOUND);
  });

  test("a batch names what it didn't find and what no longer fits", async () => {
    const { store } = followed;
    const wanted = Array.from({ length: 14 }, (_, n) => `op-${n}`);
    for (const put of wanted) await store.commit({ put, with: { labels: { pad: "x".repeat(240_000) } } });
    const { mesh } = await clients();
    const reply = await mesh.batchGetOperators({ operatorIds: ["nobody", ...wanted] });
    expect(reply.notFoundIds).toEqual(["nobody"]);
    expect(ids(reply)).toEqual(wanted.slice(0, 13));
    expect(reply.remainingIds).toEqual(wanted.slice(13));
  });
});

describe("consistency", () => {
  test("admins see every commit at once, the mesh when it asks for it", async () => {
    const { store } = followed;
    const { admin, mesh } = await clients();
    for (let n = 0; n < 5; n++) {
      const position = await store.commit({ put: `op-${n}` });
      const token = encodeToken(position);
      const atLeastAsFresh = { requirement: { case: "atLeastAsFresh", value: token } } as const;
      const fullyConsistent = { requirement: { case: "fullyConsistent", value: true } } as const;
      const [first, second, third] = await Promise.all([
        admin.getOperator({ operatorId: `op-${n}` }),
        mesh.getOperator({ operatorId: `op-${n}`, consistency: atLeastAsFresh }),
        mesh.getOperator({ operatorId: `op-${n}`, consistency: fullyConsistent }),
      ]);
      for (const { token: at } of [first, second, third]) expect(decodeToken(at)?.revision).toBe(position.revision);
    }
  });

  test("a token that is none, foreign, forged or from the future is refused for what it is", async () => {
    const position = await followed.store.commit({ put: "a" });
    const { mesh } = await clients();
    const read = (value: string): Promise<ErrorReason | undefined> =>
      reasonFor(mesh.getOperator({ operatorId: "a", consistency: { requirement: { case: "atLeastAsFresh", value } } }));
    expect(await read("nonsense")).toBe(ErrorReason.FIELD_INVALID);
    expect(await read(encodeToken({ ...position, store: randomBytes(16) }))).toBe(ErrorReason.TOKEN_FOREIGN);
    expect(await read(encodeToken({ ...position, fingerprint: randomBytes(32) }))).toBe(ErrorReason.HISTORY_CHANGED);
    expect(await read(encodeToken({ ...position, revision: 99n }))).toBe(ErrorReason.HISTORY_CHANGED);
    expect(await read(encodeToken(position))).toBeUndefined();
  });

  test("while the primary is away only those who asked for freshness are refused", async () => {
    const { store } = followed;
    const position = await store.commit({ put: "a" });
    const { admin, mesh, catalog } = await clients();
    await store.database.db.execute(sql`alter table config_head rename to config_head_away`);
    const byDefault = await admin.getOperator({ operatorId: "a" });
    expect(byDefault.staleSince && timestampDate(byDefault.staleSince)).toEqual(catalog.staleSince);
    expect((await mesh.getOperator({ operatorId: "a" })).staleSince).toBeDefined();
    const demanded = {
      operatorId: "a",
      consistency: { requirement: { case: "fullyConsistent", value: true } },
    } as const;
    expect(await reasonFor(admin.getOperator(demanded))).toBe(ErrorReason.DATABASE_UNAVAILABLE);
    const ahead = encodeToken({ ...position, revision: 2n });
    const behind = { operatorId: "a", consistency: { requirement: { case: "atLeastAsFresh", value: ahead } } } as const;
    expect(await reasonFor(mesh.getOperator(behind))).toBe(ErrorReason.CATALOG_BEHIND);
    await store.database.db.execute(sql`alter table config_head_away rename to config_head`);
    await until(() => catalog.staleSince === undefined);
    expect((await admin.getOperator({ operatorId: "a" })).staleSince).toBeUndefined();
  });
});

describe("a list", () => {
  test("walks all operators once in id order while others are written, and every page has the first one's token", async () => {
    const { store } = followed;
    const all = Array.from({ length: 25 }, (_, n) => `op-${String(n).padStart(2, "0")}`);
    await store.commit(...all.map((put) => ({ put })));
    const first = await store.head();
    const { admin, mesh } = await clients();
    for (const client of [admin, mesh]) {
      const filter = "id = op-*";
      const seen: string[] = [];
      let pageToken = "";
      let step = 0;
      do {
        const page = await client.listOperators({ filter, pageSize: 7, pageToken });
        if (client === admin) expect(page.token).toBe(encodeToken(first, parseFilter(filter).hash));
        seen.push(...ids(page));
        pageToken = page.nextPageToken;
        if (client === admin)
          await store.commit({ put: `other-${step}` }, { put: all[step] ?? "op-00", with: { notes: `${step}` } });
        step++;
      } while (pageToken !== "");
      expect(seen).toEqual(all);
      expect(step).toBe(4);
    }
  });

  test("sorts as asked for, and shows deleted ones when asked for", async () => {
    const { store } = followed;
    await store.commit({ put: "b", with: { displayName: "same" } }, { put: "a", with: { displayName: "same" } });
    await store.commit({ put: "c", with: { displayName: "Zeta" } });
    await store.commit({ put: "d" });
    await store.commit({ delete: "d" });
    const { admin } = await clients();
    const list = async (orderBy: string, showDeleted = false): Promise<string[]> => {
      const seen: string[] = [];
      let pageToken = "";
      do {
        const page = await admin.listOperators({ orderBy, showDeleted, pageSize: 1, pageToken });
        seen.push(...ids(page));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return seen;
    };
    expect(await list("")).toEqual(["a", "b", "c"]);
    expect(await list("id desc")).toEqual(["c", "b", "a"]);
    expect(await list("display_name")).toEqual(["c", "a", "b"]);
    expect(await list("display_name desc, id desc")).toEqual(["b", "a", "c"]);
    expect(await list("create_time desc", true)).toEqual(["d", "c", "a", "b"]);
    expect(await list("", true)).toEqual(["a", "b", "c", "d"]);
    const deleted = await admin.listOperators({ showDeleted: true, filter: "id = d" });
    expect(deleted.operators[0]?.deleteTime).toBeDefined();
  });

  test("ends a page at 3 MiB", async () => {
    const { store } = followed;
    const all = Array.from({ length: 14 }, (_, n) => `op-${String(n).padStart(2, "0")}`);
    for (const put of all) await store.commit({ put, with: { labels: { pad: "x".repeat(240_000) } } });
    const { mesh } = await clients();
    const page = await mesh.listOperators({});
    expect(ids(page)).toEqual(all.slice(0, 13));
    expect(ids(await mesh.listOperators({ pageToken: page.nextPageToken }))).toEqual(all.slice(13));
  });

  test("refuses what it can't do", async () => {
    const { store } = followed;
    await store.commit({ put: "a" }, { put: "b" });
    const { admin, mesh } = await clients();
    const { nextPageToken } = await admin.listOperators({ pageSize: 1 });
    const reasons = [
      mesh.listOperators({ orderBy: "id" }),
      mesh.listOperators({ showDeleted: true }),
      admin.listOperators({ orderBy: "notes" }),
      admin.listOperators({ orderBy: "id up" }),
      admin.listOperators({ orderBy: "id,,id" }),
      admin.listOperators({ orderBy: "id, id desc" }),
    ].map(reasonFor);
    expect(new Set(await Promise.all(reasons))).toEqual(new Set([ErrorReason.FIELD_INVALID]));
    const misused = [
      admin.listOperators({ pageToken: nextPageToken, filter: "id = a" }),
      admin.listOperators({ pageToken: nextPageToken, orderBy: "id desc" }),
      admin.listOperators({ pageToken: nextPageToken, showDeleted: true }),
      mesh.listOperators({ pageToken: nextPageToken }),
      admin.listOperators({ pageToken: "x" }),
    ].map(reasonFor);
    expect(new Set(await Promise.all(misused))).toEqual(new Set([ErrorReason.PAGE_TOKEN_INVALID]));
    expect(await reasonFor(admin.listOperators({ filter: "notes = a" }))).toBe(ErrorReason.FILTER_INVALID);
    expect(ids(await admin.listOperators({ pageToken: nextPageToken, pageSize: 7 }))).toEqual(["b"]);
  });

  test("nothing is served before the catalog is loaded", async () => {
    const { admin, mesh } = readClients(new Catalog(), followed.store);
    expect(await reasonFor(mesh.getOperator({ operatorId: "a" }))).toBe(ErrorReason.CATALOG_NOT_LOADED);
    expect(await reasonFor(admin.listOperators({}))).toBe(ErrorReason.CATALOG_NOT_LOADED);
  });
});
