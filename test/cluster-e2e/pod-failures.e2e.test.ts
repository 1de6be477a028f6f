import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import { startActivity, type Activity } from "./support-activity.ts";
import { runFailureRow, type FailureRow } from "./support-failure-row.ts";
import { startMovingFollower, type MovingFollower } from "./support-moving-follower.ts";
import { startWrites } from "./support-writes-in-flight.ts";

const victimOf = ({ pods }: Cluster): Pod => {
  const [victim] = pods;
  if (victim === undefined) throw new Error("a cluster without pods");
  return victim;
};
const linksOf = (cluster: Cluster) => {
  const { primary, replica, nats, vault } = victimOf(cluster).links;
  return [primary, replica, ...nats, vault];
};
const withoutIt = { gone: (cluster: Cluster) => [victimOf(cluster)] };

const rows: readonly FailureRow[] = [
  {
    name: "a pod is killed",
    hurt: (cluster) => victimOf(cluster).kill(),
    heal: (cluster) => victimOf(cluster).restart(),
    ...withoutIt,
  },
  {
    name: "a pod is frozen",
    hurt: (cluster) => victimOf(cluster).pause(),
    heal: (cluster) => victimOf(cluster).resume(),
    // It may hold the lock of all writes until the database ends its silent transaction.
    writes: ["OK", "DATABASE_UNAVAILABLE"],
    ...withoutIt,
  },
  {
    name: "a pod is cut off from every server, silently",
    hurt: (cluster) => Promise.all(linksOf(cluster).map((link) => link.blackHole())),
    heal: (cluster) => Promise.all(linksOf(cluster).map((link) => link.heal())),
    writes: ["OK", "DATABASE_UNAVAILABLE"],
    ...withoutIt,
  },
];

/**
 * Invariant (design.md §7, a pod): the others go on; who followed the lost one resumes with its token, without a gap, and writes that were repeated with
 * their request id were made once.
 */
describe("when a pod fails", () => {
  let cluster: Cluster;
  let activity: Activity;
  let follower: MovingFollower;

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1 });
    activity = await startActivity(cluster);
    follower = await startMovingFollower(cluster, victimOf(cluster));
    await activity.well(0);
  });
  afterAll(async () => {
    await follower?.[Symbol.asyncDispose]();
    await activity?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const row of rows) {
    test(`${row.name}: the others go on`, async () => {
      const [victim, ...others] = cluster.pods;
      const [other] = others;
      if (victim === undefined || other === undefined) throw new Error("a cluster without other pods");
      const writes = await startWrites(cluster, victim);
      await runFailureRow(cluster, activity, {
        ...row,
        also: async () => {
          await follower.moveTo(other);
          await writes.repeat(others);
          await follower.converged();
        },
        heal: async () => {
          await row.heal(cluster);
          await follower.moveTo(victim);
        },
      });
      await writes.expectMadeOnce();
      await follower.converged();
      expect(follower.resyncs, "followers that were led to another pod list again").toEqual([]);
    });
  }
});
