import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { expect, test } from "vitest";
import { loadCatalog } from "../../src/catalog/load.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { startLinks } from "../cluster/links.ts";
import { startPostgres, type PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened } from "../db/opened-database.ts";
import { RecordedWatch, told } from "../watch/support/recorded-watch.ts";
import { startPod, through, type Pod } from "./support/pod.ts";
import { TestStore } from "./support/test-store.ts";

const { hash } = parseFilter("");
const ids = (pod: Pod): string[] => pod.catalog.snapshot().map(({ id }) => id);
const token = (position: Position): string => encodeToken(position, hash);

/** What a watch from this position begins with: a bookmark, or an error. */
async function startFrom(pod: Pod, position: Position): Promise<string> {
  const watch = new RecordedWatch(pod.watches, { startToken: token(position) });
  return watch.next().then(({ kind }) => kind, reasonName);
}

async function endOf(watch: RecordedWatch): Promise<{ reason: string; told: string[] }> {
  const frames = [];
  for (;;) {
    try {
      frames.push(await watch.next());
    } catch (error) {
      return { reason: reasonName(error), told: told(frames) };
    }
  }
}

function reasonName(error: unknown): string {
  return ErrorReason[reasonOf(error) ?? ErrorReason.UNSPECIFIED] ?? "";
}

/** From here on the standby gets nothing more, though nobody notices. */
async function stopReplication(replica: PostgresNode): Promise<void> {
  await replica.query("alter system set primary_conninfo = ''");
  await replica.query("select pg_reload_conf()");
  await until("replication has stopped", async () => {
    return (await replica.query("select from pg_stat_wal_receiver")).length === 0;
  });
}

async function revisionAt(node: PostgresNode): Promise<number> {
  const [head] = await node.query<{ revision: string }>("select revision from config_head");
  return Number(head?.revision);
}

/** Three operators are replicated, then two commits aren't; `regained` are made on the new primary before anybody else looks at it. */
test.each([
  ["lower", 1],
  ["equal", 2],
  ["higher", 4],
])(
  "a failover that lost two commits, the new head %s: everybody connected notices, nobody cut off claims to",
  async (_, regained) => {
    await using postgres = await startPostgres();
    await using links = await startLinks();
    const { primary, replica, replicaUrl } = postgres;
    if (replica === undefined) throw new Error("it has a replica by default");
    await migrated(postgres);
    const link = await links.to("127.0.0.1", primary.port);
    const linkOfCutOff = await links.to("127.0.0.1", primary.port);
    await using pod = startPod({ primary: through(postgres.serviceUrl, link), replica: replicaUrl });
    await using cutOff = startPod({ primary: through(postgres.serviceUrl, linkOfCutOff), replica: replicaUrl });
    await Promise.all([pod.tail.loaded, cutOff.tail.loaded]);

    await using writer = opened({ primary: postgres.serviceUrl });
    const before = new TestStore(writer);
    for (const put of ["a", "b"]) await before.commit({ put });
    const common = await before.commit({ put: "c" });
    await until("all is replicated", async () => (await revisionAt(replica)) === 3);
    await stopReplication(replica);
    await before.commit({ put: "a", with: { notes: "lost" } });
    const lost = await before.commit({ put: "lost" });
    await Promise.all([pod.catalog.waitFor(lost as never), cutOff.catalog.waitFor(lost as never)]);
    const kept = pod.catalog.get("b");
    const watches = [pod, cutOff].map(
      ({ watches }) => new RecordedWatch(watches, { startToken: token(lost), bookmarkMs: 50 }),
    );
    for (const watch of watches) await watch.next();

    await Promise.all([link.cut(), linkOfCutOff.cut()]);
    await primary.server.kill();
    await postgres.promote();
    await using newWriter = opened({ primary: replicaUrl });
    const after = new TestStore(newWriter);
    let newest = common;
    for (let n = 1; n <= regained; n++) newest = await after.commit({ put: `new-${n}` });
    expect(newest.revision).toBe(BigInt(3 + regained));

    // Nobody can ask the new primary yet: what is in memory is served, and no position is denied.
    for (const each of [pod, cutOff]) {
      expect(await startFrom(each, newest)).toBe("CATALOG_BEHIND");
      expect(await startFrom(each, lost)).toBe("bookmark");
      expect(each.catalog.staleSince).toBeDefined();
    }
    await link.retarget(replica.port);
    await link.heal();
    const [watch, watchOfCutOff] = watches;
    expect(await endOf(watch!)).toEqual({ reason: "HISTORY_CHANGED", told: [] });
    const expected = ["a", "b", "c", ...Array.from({ length: regained }, (_, n) => `new-${n + 1}`)];
    expect(ids(pod)).toEqual(expected);
    expect(pod.catalog.get("a")?.operator.notes).toBe("");
    expect(pod.catalog.get("b"), "what is the same was not read again").toBe(kept);
    expect(pod.catalog.position).toEqual(newest);
    expect(pod.catalog.staleSince).toBeUndefined();
    expect(await startFrom(pod, lost)).toBe("HISTORY_CHANGED");
    expect(await startFrom(pod, newest)).toBe("bookmark");
    // Who was at a position that both histories have goes on without a list.
    const resumed = new RecordedWatch(pod.watches, { startToken: token(common) });
    expect(told(await resumed.through(token(newest)))).toEqual(expected.slice(3).map((id) => `+${id}`));

    // The one that is cut off knows the lost history only; even the replica's URL, where the new one is, doesn't mislead it.
    expect(ids(cutOff)).toContain("lost");
    expect(await startFrom(cutOff, newest)).toBe("CATALOG_BEHIND");
    const history = cutOff.admin.listOperatorRevisions({ operatorId: "a" });
    expect(await history.then(() => "answered", reasonName)).toBe("DATABASE_UNAVAILABLE");
    expect(await watchOfCutOff!.next()).toMatchObject({ kind: "bookmark", staleSince: cutOff.catalog.staleSince });
    await linkOfCutOff.retarget(replica.port);
    await linkOfCutOff.heal();
    expect((await endOf(watchOfCutOff!)).reason).toBe("HISTORY_CHANGED");

    const truth = await loadCatalog(newWriter.db);
    for (const each of [pod, cutOff]) {
      expect(each.catalog.position).toEqual(truth.ring.head);
      expect(new Map(each.catalog.snapshot().map(({ id, bytes }) => [id, Buffer.from(bytes).toString("hex")]))).toEqual(
        new Map([...truth.entries].map(([id, { bytes }]) => [id, Buffer.from(bytes).toString("hex")])),
      );
    }
    expect(await pod.admin.listOperatorRevisions({ operatorId: "a" })).toMatchObject({
      token: encodeToken(newest),
      revisions: [{ revisionId: "1" }],
    });
  },
);
