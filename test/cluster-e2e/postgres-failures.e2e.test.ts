import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { startActivity, type Activity } from "./support-activity.ts";
import { adminOf } from "./support-clients.ts";
import { runFailureRow, type FailureRow } from "./support-failure-row.ts";

/** Longer than a round trip may take, shorter than any limit of the service. */
const SLOW_MS = 250;

const allPrimaryLinks = ({ pods }: Cluster) => pods.map(({ links }) => links.primary);
const allReplicaLinks = ({ pods }: Cluster) => pods.map(({ links }) => links.replica);

const withoutPrimary = { writes: ["DATABASE_UNAVAILABLE"], stale: true, also: historyIsReadable } as const;
/** Read before too, so that there are connections to break. */
const withoutReplica = { before: historyIsReadable, also: historyIsReadable } as const;

const rows: readonly FailureRow[] = [
  {
    name: "the primary is killed",
    hurt: ({ postgres }) => postgres.primary.server.kill(),
    heal: ({ postgres }) => postgres.primary.server.start(),
    ...withoutPrimary,
  },
  {
    name: "the primary is frozen",
    hurt: ({ postgres }) => postgres.primary.server.pause(),
    heal: ({ postgres }) => postgres.primary.server.resume(),
    ...withoutPrimary,
  },
  {
    name: "every pod is cut off from the primary, silently",
    hurt: (cluster) => Promise.all(allPrimaryLinks(cluster).map((link) => link.blackHole())),
    heal: (cluster) => Promise.all(allPrimaryLinks(cluster).map((link) => link.heal())),
    ...withoutPrimary,
  },
  {
    name: `the primary answers ${SLOW_MS} ms later`,
    hurt: (cluster) => Promise.all(allPrimaryLinks(cluster).map((link) => link.slow(SLOW_MS))),
    heal: (cluster) => Promise.all(allPrimaryLinks(cluster).map((link) => link.heal())),
    // The head's lock is held over some six round trips, and three pods queue for it: some wait longer than a lock may be waited for.
    writes: ["OK", "DATABASE_UNAVAILABLE"],
  },
  {
    name: "the replica is killed",
    hurt: ({ postgres }) => postgres.replica?.server.kill(),
    heal: ({ postgres }) => postgres.replica?.server.start(),
    ...withoutReplica,
  },
  {
    name: "the replica is frozen",
    hurt: ({ postgres }) => postgres.replica?.server.pause(),
    heal: ({ postgres }) => postgres.replica?.server.resume(),
    ...withoutReplica,
  },
  {
    name: "every pod is cut off from the replica, silently",
    hurt: (cluster) => Promise.all(allReplicaLinks(cluster).map((link) => link.blackHole())),
    heal: (cluster) => Promise.all(allReplicaLinks(cluster).map((link) => link.heal())),
    ...withoutReplica,
  },
  {
    name: `the replica answers ${SLOW_MS} ms later`,
    // Who has a connection may go on with it; connecting anew takes several round trips, which nobody should wait for.
    hurt: async (cluster) => {
      await Promise.all(allReplicaLinks(cluster).map((link) => link.cut()));
      await Promise.all(allReplicaLinks(cluster).map((link) => link.slow(SLOW_MS)));
    },
    heal: (cluster) => Promise.all(allReplicaLinks(cluster).map((link) => link.heal())),
    ...withoutReplica,
  },
];

/**
 * Invariant (design.md §7, PostgreSQL): whatever happens to the primary or the replica, internal reads and watches go on from memory, admins can read,
 * every pod stays ready; without the primary writes are UNAVAILABLE and leave nothing, without the replica nobody notices.
 */
describe("when PostgreSQL fails", () => {
  let cluster: Cluster;
  let activity: Activity;

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1 });
    activity = await startActivity(cluster);
    await activity.well(0);
  });
  afterAll(async () => {
    await activity?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const row of rows) test(`${row.name}: the others go on`, () => runFailureRow(cluster, activity, row));
});

/** Of which memory holds the newest part only: it comes from whichever server is there. */
async function historyIsReadable(cluster: Cluster): Promise<void> {
  for (const pod of cluster.pods) {
    const { revisions } = await adminOf(pod, cluster, 20_000).listOperatorRevisions({ operatorId: "acme" });
    expect(revisions.length).toBeGreaterThanOrEqual(4);
  }
}
