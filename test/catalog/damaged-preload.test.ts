import { encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { RecordedWatch, told, watchSources } from "../watch/support/recorded-watch.ts";
import { useFollowedStore } from "./support/followed-store.ts";

const followed = useFollowedStore();
const filter = "labels.tier = gold";
const gold = { labels: { tier: "gold" } };

/**
 * A watch after a restart, where one record of history is damaged: it may be told to list again, but a removal from its filter must not be
 * missing. Position 1 is the damaged record's, or the one below the ring.
 */
test.each([
  ["within the ring", 100],
  ["just below it", 2],
])("an operator whose record before is damaged (%s) doesn't leave a filter unseen", async (_, revisions) => {
  const { store } = followed;
  const damaged = await store.commit({ put: "a", with: gold });
  const between = await store.commit({ put: "b", with: gold });
  const third = await store.commit({ put: "a", with: { labels: { tier: "lead" } } });
  const last = await store.commit({ put: "b", with: { labels: { tier: "lead" } } });
  await store.database.db.execute(sql`update config_change set record = '\\xffff'::bytea where revision = 1`);
  const { catalog } = await followed.follow({ bytes: 1e6, revisions });
  const { hash } = parseFilter(filter);
  for (const position of [damaged, between]) {
    const watch = new RecordedWatch(watchSources(catalog), { filter, startToken: encodeToken(position, hash) });
    const outcome = watch.next().then(
      () => "resumed",
      (error: unknown) => ErrorReason[reasonOf(error) ?? 0],
    );
    expect(await outcome).toBe("REVISION_COMPACTED");
  }
  // From where everything is known again a watch resumes, and misses nothing.
  const watch = new RecordedWatch(watchSources(catalog), { filter, startToken: encodeToken(third, hash) });
  expect(told(await watch.through(encodeToken(last, hash)))).toEqual(["-b LEFT_FILTER"]);
  await watch.close();
});
