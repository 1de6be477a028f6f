import { randomBytes } from "node:crypto";
import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { sql } from "drizzle-orm";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { RecordedWatch, watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();
const { hash } = parseFilter("");

/** What a watch from this token begins with: a bookmark, or an error. */
async function startFrom(catalog: Catalog, startToken: string, filter = ""): Promise<string> {
  try {
    const watch = new RecordedWatch(watchSources(catalog), { startToken, filter });
    const first = await watch.next();
    await watch.close();
    return first.kind;
  } catch (error) {
    return ErrorReason[reasonOf(error) ?? ErrorReason.UNSPECIFIED];
  }
}

async function withRevisions(count: number): Promise<Position[]> {
  const positions = [await followed.store.head()];
  for (let n = 0; n < count; n++) positions.push(await followed.store.commit({ put: `op-${n}` }));
  return positions;
}

test("a token is taken or refused for what it is", async () => {
  const [zero, one, two, three, four] = (await withRevisions(4)) as [Position, Position, Position, Position, Position];
  const { catalog } = await followed.follow({ bytes: 1e6, revisions: 2 });
  const start = (position: Position, of = hash): Promise<string> => startFrom(catalog, encodeToken(position, of));

  expect(await start(four)).toBe("bookmark");
  expect(await start(two), "at the edge of the ring").toBe("bookmark");
  expect(await start(one), "old").toBe("REVISION_COMPACTED");
  expect(await start(zero), "the beginning, no longer in the ring").toBe("REVISION_COMPACTED");
  expect(await start({ ...three, store: randomBytes(16) }), "foreign").toBe("TOKEN_FOREIGN");
  expect(await start({ ...three, fingerprint: randomBytes(32) }), "forged").toBe("HISTORY_CHANGED");
  expect(await start({ ...two, fingerprint: randomBytes(32) }), "forged at the edge").toBe("HISTORY_CHANGED");
  expect(await start({ ...four, revision: 5n }), "from the future").toBe("HISTORY_CHANGED");
  expect(await start({ ...four, revision: 2n ** 64n - 1n }), "from far in the future").toBe("HISTORY_CHANGED");
  expect(await start(three, new Uint8Array()), "a write's").toBe("FIELD_INVALID");
  expect(await start(three, parseFilter("kind = MNO").hash), "another filter's").toBe("FIELD_INVALID");
  expect(await startFrom(catalog, "not-a-token"), "no token").toBe("FIELD_INVALID");
});

test("any other text is FIELD_INVALID", async () => {
  const { catalog } = await followed.follow();
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.string({ minLength: 1 }), fc.base64String({ minLength: 1, maxLength: 200 })),
      async (text) => {
        expect(await startFrom(catalog, text)).toBe("FIELD_INVALID");
      },
    ),
  );
});

test("a token that this replica hasn't reached yet makes it catch up first", async () => {
  const { catalog } = await followed.follow();
  const [, position] = await withRevisions(1);
  if (position === undefined) throw new Error("nothing was committed");
  expect(await startFrom(catalog, encodeToken(position, hash))).toBe("bookmark");
  expect(catalog.position).toEqual(position);
});

test("HISTORY_CHANGED is never said without the primary", async () => {
  const [, one] = await withRevisions(1);
  const { catalog } = await followed.follow();
  if (one === undefined) throw new Error("nothing was committed");
  const { db } = followed.store.database;
  await db.execute(sql`alter table config_head rename to config_head_away`);
  expect(await startFrom(catalog, encodeToken({ ...one, revision: 9n }, hash))).toBe("CATALOG_BEHIND");
  expect(await startFrom(catalog, encodeToken({ ...one, fingerprint: randomBytes(32) }, hash))).toBe("CATALOG_BEHIND");
  expect(await startFrom(catalog, encodeToken(one, hash)), "what memory knows is served").toBe("bookmark");
  await db.execute(sql`alter table config_head_away rename to config_head`);
});

test("a position that is lost here but is the primary's is found by catching up", async () => {
  const { store } = followed;
  await withRevisions(1);
  const { catalog } = await followed.follow();
  await store.loseHistory();
  const other = await store.commit({ put: "after-the-failover" });
  expect(other.revision).toBe(catalog.position.revision);
  const watch = new RecordedWatch(watchSources(catalog), { startToken: encodeToken(other, hash) });
  expect(await watch.next()).toMatchObject({ kind: "bookmark", token: encodeToken(other, hash) });
  expect(catalog.snapshot().map((entry) => entry.id)).toEqual(["after-the-failover"]);
  await watch.close();
});
