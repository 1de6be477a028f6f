import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { expect, test } from "vitest";
import { InRecoveryError, loadCatalog } from "../../src/catalog/load.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { startPostgres, type Postgres, type PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened } from "../db/opened-database.ts";
import { RecordedWatch, told } from "../watch/support/recorded-watch.ts";
import { startPod, type Pod } from "./support/pod.ts";
import { TestStore } from "./support/test-store.ts";

const { hash } = parseFilter("");
const podOf = ({ serviceUrl, replicaUrl }: Postgres): Pod => startPod({ primary: serviceUrl, replica: replicaUrl });
const reasonName = (error: unknown): string => ErrorReason[reasonOf(error) ?? ErrorReason.UNSPECIFIED] ?? "";

async function started() {
  const postgres = await startPostgres();
  if (postgres.replica === undefined) throw new Error("it has a replica by default");
  await migrated(postgres);
  return { postgres, primary: postgres.primary, replica: postgres.replica };
}

async function replicated(replica: PostgresNode, { revision }: Position): Promise<void> {
  await until(`the replica has revision ${revision}`, async () => {
    const [head] = await replica.query<{ revision: string }>("select revision from config_head");
    return BigInt(head?.revision ?? -1) >= revision;
  });
}

const revisionsOf = async (pod: Pod, operatorId: string) => {
  const { revisions, token, staleSince } = await pod.admin.listOperatorRevisions({ operatorId });
  return { ids: revisions.map(({ revisionId }) => revisionId).join(" "), token, stale: staleSince !== undefined };
};

test("history is read where it is new enough: while the replica's replay rests, from the primary; without that, older and marked", async () => {
  const { postgres, primary, replica } = await started();
  await using _postgres = postgres;
  await using pod = podOf(postgres);
  await using writing = opened({ primary: postgres.serviceUrl });
  const store = new TestStore(writing);
  await pod.tail.loaded;
  const first = await store.commit({ put: "a" });
  await replicated(replica, first);
  await replica.query("select pg_wal_replay_pause()");
  const second = await store.commit({ put: "a", with: { notes: "new" } });
  expect(await revisionsOf(pod, "a")).toEqual({ ids: "2 1", token: encodeToken(second), stale: false });

  primary.server.pause(); // it is there, takes connections, and says nothing
  expect(await revisionsOf(pod, "a")).toEqual({ ids: "1", token: encodeToken(first), stale: true });
  const demanded = { requirement: { case: "atLeastAsFresh", value: encodeToken(second) } } as const;
  const call = pod.admin.getOperatorRevision({ operatorId: "a", revisionId: "2", consistency: demanded });
  expect(await call.then(() => "answered", reasonName)).toBe("DATABASE_UNAVAILABLE");
  expect((await pod.admin.getOperator({ operatorId: "a" })).operator?.notes, "from memory").toBe("new");

  await replica.query("select pg_wal_replay_resume()");
  await replicated(replica, second);
  expect(await revisionsOf(pod, "a")).toEqual({ ids: "2 1", token: encodeToken(second), stale: true });
  primary.server.resume();
  const third = await store.commit({ put: "a", with: { notes: "newer" } });
  await pod.catalog.waitFor(third as never);
  expect(pod.catalog.staleSince).toBeUndefined();
  expect(await revisionsOf(pod, "a")).toEqual({ ids: "3 2 1", token: encodeToken(third), stale: false });
});

test("a pod that starts while the primary is down is there at once with the replica's catalog, and follows when it is back", async () => {
  const { postgres, primary, replica } = await started();
  await using _postgres = postgres;
  await using writing = opened({ primary: postgres.serviceUrl });
  const store = new TestStore(writing);
  await replicated(replica, await store.commit({ put: "a" }));
  await replica.query("select pg_wal_replay_pause()");
  const unseen = await store.commit({ put: "b" });
  await primary.server.kill();

  await using pod = podOf(postgres);
  await pod.tail.loaded;
  expect(pod.catalog.snapshot().map(({ id }) => id)).toEqual(["a"]);
  expect(pod.catalog.staleSince).toBeDefined();
  expect(await pod.catalog.waitFor(unseen as never).then(() => "held", reasonName)).toBe("CATALOG_BEHIND");
  const watch = new RecordedWatch(pod.watches, { initialSnapshot: true });
  expect(told([await watch.next()])).toEqual(["+a"]);
  expect(await watch.next()).toMatchObject({ initialComplete: true, staleSince: pod.catalog.staleSince });

  // The standby goes on to what this pod has not seen: only the primary's word counts.
  await replica.query("select pg_wal_replay_resume()");
  await replicated(replica, unseen);
  await pod.catalog.refresh().catch(() => undefined);
  expect(pod.catalog.position.revision).toBe(1n);

  await primary.server.start();
  expect(told(await watch.through(encodeToken(unseen, hash)))).toEqual(["+b"]);
  expect(pod.tail.loads).toBe(1);
  await until("it isn't stale any more", () => pod.catalog.staleSince === undefined);
});

test("a standby is never taken for the primary, whoever it was a moment ago", async () => {
  const { postgres } = await started();
  await using _postgres = postgres;
  await using pod = podOf(postgres);
  await pod.tail.loaded;
  const { replica } = pod.database;
  if (replica === undefined) throw new Error("it has a replica by default");
  await expect(loadCatalog(replica)).rejects.toThrow(InRecoveryError);
  expect((await loadCatalog(replica, undefined, { standby: true })).ring.head).toEqual(pod.catalog.position);
});

test("a watch goes on at another pod, also one that hasn't heard of its position yet", async () => {
  const { postgres } = await started();
  await using _postgres = postgres;
  await using one = podOf(postgres);
  await using two = podOf(postgres);
  await Promise.all([one.tail.loaded, two.tail.loaded]);
  await using writing = opened({ primary: postgres.serviceUrl });
  const store = new TestStore(writing);
  const seen: string[] = [];
  let position = await store.head();
  for (let n = 0; n < 40; n++) {
    const pod = n % 2 === 0 ? one : two;
    const put = `op-${String(n).padStart(2, "0")}`;
    const committed = await store.commit({ put });
    // The other pod may have seen the commit before; this one is asked at once.
    const watch = new RecordedWatch(pod.watches, { startToken: encodeToken(position, hash) });
    seen.push(...told(await watch.through(encodeToken(committed, hash))));
    await watch.close();
    position = committed;
    const other = new RecordedWatch((pod === one ? two : one).watches, { startToken: encodeToken(position, hash) });
    expect((await other.next()).kind).toBe("bookmark");
    await other.close();
  }
  expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => `+op-${String(n).padStart(2, "0")}`));
});

test("fifty commits are read by every pod that is asked for them at once, whichever pod they were made through", async () => {
  const { postgres } = await started();
  await using _postgres = postgres;
  await using one = podOf(postgres);
  await using two = podOf(postgres);
  await Promise.all([one.tail.loaded, two.tail.loaded]);
  await using writing = opened({ primary: postgres.serviceUrl });
  const store = new TestStore(writing);
  for (let n = 0; n < 50; n++) {
    const { revision } = await store.commit({ put: "a", with: { notes: `${n}` } });
    for (const pod of [one, two]) {
      const { operator } = await pod.admin.getOperator({ operatorId: "a" });
      expect(operator?.notes).toBe(`${n}`);
      const { revisions } = await pod.admin.listOperatorRevisions({ operatorId: "a", pageSize: 1 });
      expect(revisions[0]?.revisionId).toBe(String(revision));
    }
  }
});
