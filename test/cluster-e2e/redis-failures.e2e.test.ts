import { afterAll, beforeAll, describe, test } from "vitest";
import { mirrorKey, PERIOD_MS } from "../../src/health/report-mirror.ts";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import type { Redis, RedisNode } from "../cluster/redis.ts";
import { until } from "../cluster/until.ts";
import { startActivity, type Activity } from "./support-activity.ts";
import { runFailureRow, type FailureRow } from "./support-failure-row.ts";
import { flush, openMirror, type Mirror } from "./support-mirror.ts";

const redisOf = ({ redis }: Cluster): Redis => {
  if (redis === undefined) throw new Error("a cluster without Redis");
  return redis;
};
/** The master that holds the copies of reports of the link that is well, when the row began. */
let master: RedisNode | undefined;
const findMaster = async (cluster: Cluster, key: string): Promise<RedisNode> => {
  for (const node of redisOf(cluster).nodes) {
    const isMaster = (await node.ask("ROLE")).startsWith("master");
    if (isMaster && (await node.ask("KEYS", key)).includes(key)) return (master = node);
  }
  throw new Error(`no master holds ${key}`);
};

interface RedisRow extends Omit<FailureRow, "hurt"> {
  readonly hurt: (cluster: Cluster, key: string) => Promise<unknown> | void;
  /** Whether copies are made under the fault, too. */
  readonly mirrors?: boolean;
}

const rows: readonly RedisRow[] = [
  {
    name: "a master is killed",
    hurt: async (cluster, key) => (await findMaster(cluster, key)).server.kill(),
    heal: () => master?.server.start(),
    mirrors: true,
  },
  {
    name: "a master is frozen",
    hurt: async (cluster, key) => (await findMaster(cluster, key)).server.pause(),
    heal: () => master?.server.resume(),
    mirrors: true,
  },
  {
    name: "all of Redis is killed",
    hurt: (cluster) => Promise.all(redisOf(cluster).nodes.map(({ server }) => server.kill())),
    heal: (cluster) => Promise.all(redisOf(cluster).nodes.map(({ server }) => server.start())),
  },
  {
    name: "all of Redis is frozen",
    hurt: (cluster) => redisOf(cluster).nodes.forEach(({ server }) => server.pause()),
    heal: (cluster) => redisOf(cluster).nodes.forEach(({ server }) => server.resume()),
  },
  {
    name: "all that Redis held is lost",
    hurt: (cluster) => flush(redisOf(cluster)),
    heal: () => undefined,
    mirrors: true,
  },
];

/**
 * Invariant (design.md §7, Redis): nobody notices, health least of all; and the copies of reports are there again as soon as Redis is.
 */
describe("when Redis fails", () => {
  let cluster: Cluster;
  let activity: Activity;
  let mirror: Mirror;

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1, redis: true });
    activity = await startActivity(cluster);
    mirror = openMirror(redisOf(cluster));
    await activity.well(0);
  });
  afterAll(async () => {
    await mirror?.[Symbol.asyncDispose]();
    await activity?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const { mirrors = false, ...row } of rows) {
    test(`${row.name}: the others go on`, async () => {
      const key = mirrorKey(activity.reporters.steady.operatorUid, Math.floor(Date.now() / PERIOD_MS));
      const untilMirrored = async (): Promise<void> => {
        const now = Date.now();
        await until(
          "reports are copied again",
          async () => ((await mirror.newest(activity.reporters.steady)) ?? 0) > now,
          60_000,
        );
      };
      await untilMirrored();
      await runFailureRow(cluster, activity, {
        ...row,
        hurt: (each) => row.hurt(each, key),
        also: async () => {
          if (mirrors) await untilMirrored();
        },
      });
      await untilMirrored();
    });
  }
});
