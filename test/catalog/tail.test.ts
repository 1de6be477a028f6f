import { sql } from "drizzle-orm";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Catalog, LoadedCatalog } from "../../src/catalog/catalog.ts";
import { loadCatalog } from "../../src/catalog/load.ts";
import type { CatalogEntry } from "../../src/catalog/entry.ts";
import { useFollowedStore } from "./support/followed-store.ts";
import type { Edit, OperatorInit } from "./support/test-store.ts";
import { until } from "./support/until.ts";

const followed = useFollowedStore();
const follow = (): ReturnType<typeof followed.follow> => followed.follow();

/** Everything that readers can see of a state. */
function stateOf(loaded: Pick<LoadedCatalog, "ring"> & { entries: Iterable<CatalogEntry> }): unknown {
  const { ring } = loaded;
  const history: unknown[] = [];
  for (let at = ring.floor; at < ring.head.revision; at++) {
    const revision = ring.after(at);
    history.push({
      number: revision?.revision,
      fingerprint: ring.positionOf(at + 1n)?.fingerprint,
      changes: revision?.changes.map(({ id, uid, before, after }) => ({
        id,
        uid,
        before,
        after: after && entryState(after),
      })),
    });
  }
  return { entries: [...loaded.entries].map(entryState), head: ring.head, floor: ring.floor, history };
}

function entryState({ id, uid, bytes, digest, keys }: CatalogEntry): unknown {
  return { id, uid, digest, keys, bytes: Buffer.from(bytes).toString("hex") };
}

async function loadedState(): Promise<unknown> {
  const { entries, ring } = await loadCatalog(followed.store.database.db);
  return stateOf({ ring, entries: [...entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1)) });
}

function tailedState(catalog: Catalog): unknown {
  return stateOf({ ring: catalog.ring, entries: catalog.snapshot() });
}

const init: fc.Arbitrary<OperatorInit> = fc.record({
  displayName: fc.string({ unit: "grapheme", maxLength: 20 }),
  labels: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.string({ maxLength: 5 }), { maxKeys: 3 }),
  notes: fc.string({ maxLength: 300 }),
});
const ids = ["alpha", "beta", "gamma", "delta-1"];
const step = fc.record({
  puts: fc.dictionary(fc.constantFrom(...ids), init, { maxKeys: 3 }),
  remove: fc.option(fc.tuple(fc.constantFrom("delete", "undelete", "purge"), fc.constantFrom(...ids)), {
    nil: undefined,
  }),
  reload: fc.boolean(),
});

/** Turns a random wish into edits that fit what is there. */
function editsOf(
  wish: { puts: Record<string, OperatorInit>; remove: [string, string] | undefined },
  live: Set<string>,
  deleted: Set<string>,
): Edit[] {
  const edits = new Map<string, Edit>();
  for (const [id, operator] of Object.entries(wish.puts)) {
    if (deleted.has(id)) continue;
    live.add(id);
    edits.set(id, { put: id, with: operator });
  }
  const [action, id = ""] = wish.remove ?? [];
  if (!edits.has(id)) {
    if (action === "delete" && live.delete(id)) {
      deleted.add(id);
      edits.set(id, { delete: id });
    } else if (action === "undelete" && deleted.delete(id)) {
      live.add(id);
      edits.set(id, { undelete: id });
    } else if (action === "purge" && deleted.delete(id)) edits.set(id, { purge: id });
  }
  return [...edits.values()];
}

test("a catalog tailed to N equals one loaded at N, byte for byte, also through reloads", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      await followed.store.reset();
      const { catalog, tail } = await follow();
      const live = new Set<string>();
      const deleted = new Set<string>();
      for (const wish of steps) {
        const edits = editsOf(wish, live, deleted);
        if (edits.length === 0) continue;
        await followed.store.commit(...edits);
        if (wish.reload) catalog.replace(await loadCatalog(followed.store.database.db, (id) => catalog.get(id)));
        else await tail.refresh();
      }
      await tail.refresh();
      expect(tailedState(catalog)).toEqual(await loadedState());
      expect(catalog.bytes).toBe(catalog.snapshot().reduce((sum, entry) => sum + entry.bytes.length, 0));
      await tail.close();
    }),
    { numRuns: 25 },
  );
});

test("a commit reaches the catalog without being asked for", async () => {
  const { catalog } = await follow();
  const position = await followed.store.commit({ put: "alpha" });
  await until(() => catalog.position.revision === position.revision);
  expect(catalog.position).toEqual(position);
  expect(catalog.get("alpha")?.operator.displayName).toBe("ALPHA");
});

test("refresh holds everything committed before it, however many commit at once", async () => {
  const { catalog } = await follow();
  await Promise.all(
    ids.map(async (id) => {
      const position = await followed.store.commit({ put: id });
      await catalog.refresh();
      expect(catalog.position.revision).toBeGreaterThanOrEqual(position.revision);
      expect(catalog.get(id)).toBeDefined();
    }),
  );
});

test("the snapshot is one frozen array until the next revision, in id order", async () => {
  await followed.store.commit({ put: "zeta" }, { put: "alpha" });
  const { catalog } = await follow();
  const before = catalog.snapshot();
  expect(before).toBe(catalog.snapshot());
  expect(Object.isFrozen(before)).toBe(true);
  await followed.store.commit({ put: "beta" });
  await catalog.refresh();
  expect(before.map((entry) => entry.id)).toEqual(["alpha", "zeta"]);
  expect(catalog.snapshot().map((entry) => entry.id)).toEqual(["alpha", "beta", "zeta"]);
});

test("a decoded operator is frozen to its leaves", async () => {
  await followed.store.commit({
    put: "alpha",
    with: { connections: { main: { coverage: [{ kind: { case: "mcc", value: "262" } }] } } },
  });
  const { catalog } = await follow();
  const operator = catalog.get("alpha")?.operator;
  expect(() => operator?.connections["main"]?.coverage.pop()).toThrow(TypeError);
  expect(catalog.get("alpha")?.operator.connections["main"]?.coverage).toHaveLength(1);
});

test("a head that goes back, forks, jumps or belongs to another store makes the catalog load again", async () => {
  await followed.store.commit({ put: "alpha" });
  await followed.store.commit({ put: "beta" });
  const { catalog, tail } = await follow();
  const kept = catalog.get("alpha");
  const { db } = followed.store.database;

  const lost = async (): Promise<void> => {
    await db.execute(sql`delete from config_change where revision = 2`);
    await db.execute(sql`delete from operator where id = 'beta'`);
  };
  await lost();
  await db.execute(sql`update config_head set revision = 1, fingerprint = sha256('another')`);
  await tail.refresh();
  expect(catalog.position.revision).toBe(1n);
  expect(catalog.get("beta")).toBeUndefined();
  expect(catalog.get("alpha")).toBe(kept);

  await db.execute(sql`update config_head set fingerprint = sha256('a third')`);
  await tail.refresh();
  expect(catalog.position).toEqual(await followed.store.head());

  await followed.store.commit({ put: "gamma" });
  await db.execute(sql`update config_head set revision = 4`);
  await tail.refresh();
  expect(catalog.position).toEqual(await followed.store.head());
  expect(catalog.ring.floor).toBe(4n);

  await db.execute(sql`update config_head set fingerprint = sha256('a fourth'), revision = revision + 1`);
  await tail.refresh();
  expect(catalog.position).toEqual(await followed.store.head());

  await followed.store.reset();
  await followed.store.commit({ put: "delta" });
  await tail.refresh();
  expect(catalog.snapshot().map((entry) => entry.id)).toEqual(["delta"]);
  expect(tail.loads).toBe(6);
});

test("another history that has grown beyond this one is noticed by its chain, and none of it is mixed in", async () => {
  const { store } = followed;
  await store.commit({ put: "alpha" });
  const { catalog, tail: before } = await follow();
  await before.close(); // or it would see the other history at each of its revisions
  await store.loseHistory();
  await store.commit({ put: "beta" });
  await store.commit({ put: "gamma" });
  const seen: string[][] = [];
  catalog.subscribe(() => seen.push(catalog.snapshot().map((entry) => entry.id)));
  const tail = followed.followOn(catalog);
  await tail.refresh();
  expect(seen).toEqual([["beta", "gamma"]]);
  expect(tailedState(catalog)).toEqual(await loadedState());
  expect(tail.loads).toBe(1);
});

test("while the database fails the catalog keeps answering, marked stale, and recovers by itself", async () => {
  await followed.store.commit({ put: "alpha" });
  const { catalog, tail } = await follow();
  await followed.store.database.db.execute(sql`alter table config_head rename to config_head_away`);
  await expect(catalog.refresh()).rejects.toThrow("try again");
  expect(catalog.staleSince).toBeInstanceOf(Date);
  expect(catalog.get("alpha")).toBeDefined();
  expect(tail.failures).toBeGreaterThan(0);
  await followed.store.database.db.execute(sql`alter table config_head_away rename to config_head`);
  await until(() => catalog.staleSince === undefined);
  expect(catalog.position).toEqual(await followed.store.head());
});

test("a damaged record of history doesn't keep the service from loading", async () => {
  await followed.store.commit({ put: "alpha" });
  await followed.store.commit({ put: "beta" });
  await followed.store.commit({ put: "beta", with: { notes: "new" } });
  await followed.store.database.db.execute(sql`update config_change set record = '\\xffff'::bytea where revision = 1`);
  const { catalog } = await follow();
  expect(catalog.snapshot().map(({ id }) => id)).toEqual(["alpha", "beta"]);
  expect(catalog.ring.floor).toBe(1n);
});

test("closing waits for what runs and refuses to be asked again", async () => {
  const { tail } = await follow();
  const asked = tail.refresh().catch(() => "refused");
  await tail.close();
  await asked;
  await expect(tail.refresh()).rejects.toThrow("closed");
});
