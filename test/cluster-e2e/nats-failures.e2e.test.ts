import { connect } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { startActivity, type Activity } from "./support-activity.ts";
import { metricOf } from "./support-clients.ts";
import { runFailureRow, type FailureRow } from "./support-failure-row.ts";

const SLOW_MS = 250;
/** A server that is silent counts as gone after some ten seconds. */
const UNTIL_NOTICED_MS = 15_000;

const allLinks = ({ pods }: Cluster) => pods.flatMap(({ links }) => links.nats);
/** The node that led OPS_CONFIG when the row began, with a pod connected to it. */
let leader = 0;
const findLeader = async ({ nats }: Cluster) => {
  const connection = await connect({ servers: [...nats.servers], user: nats.user, pass: nats.password });
  try {
    await until("the stream's leader is a node that a pod is connected to", async () => {
      leader = await nats.leaderOf("OPS_CONFIG");
      if (await hasPod(nats.nodes[leader])) return true;
      await connection.request("$JS.API.STREAM.LEADER.STEPDOWN.OPS_CONFIG");
      return false;
    });
  } finally {
    await connection.close();
  }
  return leader;
};
const hasPod = async (node: Cluster["nats"]["nodes"][number] | undefined): Promise<boolean> => {
  const answer = await fetch(`http://127.0.0.1:${node?.monitoringPort}/connz`);
  const { connections } = (await answer.json()) as { connections: readonly { name?: string }[] };
  return connections.some(({ name }) => name === "operator-management");
};
const linksToLeader = ({ pods }: Cluster) =>
  pods.flatMap(({ links }) => {
    const link = links.nats[leader];
    return link === undefined ? [] : [link];
  });

/** The two that are left choose another leader, and who was connected to the lost one goes to them. */
const withoutLeader = { also: untilRelayIsThere } as const;

/** No report comes, so that nobody knows how links are. */
const withoutNats = { healthAges: true } as const;

const rows: readonly FailureRow[] = [
  {
    name: "the stream's leader is killed",
    hurt: async (cluster) => cluster.nats.nodes[await findLeader(cluster)]?.server.kill(),
    heal: ({ nats }) => nats.nodes[leader]?.server.start(),
    ...withoutLeader,
  },
  {
    name: "the stream's leader is frozen",
    hurt: async (cluster) => cluster.nats.nodes[await findLeader(cluster)]?.server.pause(),
    heal: ({ nats }) => nats.nodes[leader]?.server.resume(),
    ...withoutLeader,
  },
  {
    name: "every pod is cut off from the stream's leader, silently",
    hurt: async (cluster) => {
      await findLeader(cluster);
      await Promise.all(linksToLeader(cluster).map((link) => link.blackHole()));
    },
    heal: (cluster) => Promise.all(linksToLeader(cluster).map((link) => link.heal())),
    ...withoutLeader,
  },
  {
    name: "all of NATS is killed",
    hurt: ({ nats }) => Promise.all(nats.nodes.map(({ server }) => server.kill())),
    heal: ({ nats }) => Promise.all(nats.nodes.map(({ server }) => server.start())),
    ...withoutNats,
  },
  {
    name: "all of NATS is frozen",
    hurt: ({ nats }) => nats.nodes.forEach(({ server }) => server.pause()),
    heal: ({ nats }) => nats.nodes.forEach(({ server }) => server.resume()),
    lastsMs: UNTIL_NOTICED_MS,
    ...withoutNats,
  },
  {
    name: "every pod is cut off from all of NATS, silently",
    hurt: (cluster) => Promise.all(allLinks(cluster).map((link) => link.blackHole())),
    heal: (cluster) => Promise.all(allLinks(cluster).map((link) => link.heal())),
    lastsMs: UNTIL_NOTICED_MS,
    ...withoutNats,
  },
  {
    name: `NATS answers ${SLOW_MS} ms later`,
    hurt: (cluster) => Promise.all(allLinks(cluster).map((link) => link.slow(SLOW_MS))),
    heal: (cluster) => Promise.all(allLinks(cluster).map((link) => link.heal())),
    also: untilRelayTellsMore,
  },
];

/**
 * Invariant (design.md §7, NATS): nobody who reads, writes or watches notices that the bus is away, but that the links' health ages to UNKNOWN without all of it. Afterwards
 * it is known again, the relay catches up, and every read of a
 * credential is in the audit trail once.
 */
describe("when NATS fails", () => {
  let cluster: Cluster;
  let activity: Activity;

  beforeAll(async () => {
    cluster = await startCluster();
    activity = await startActivity(cluster);
    await activity.well(0);
  });
  afterAll(async () => {
    await activity?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const row of rows) {
    test(`${row.name}: the others go on`, async () => {
      await runFailureRow(cluster, activity, row);
      await untilRelayIsThere(cluster);
    });
  }

  test("every read of a credential is in the audit trail once", async () => {
    const { pods, postgres } = cluster;
    const reads = () =>
      activity.calls.filter(({ kind, outcome }) => kind === "credential read" && outcome === "OK").length;
    await activity[Symbol.asyncDispose]();
    const expected = reads();
    const stored = async () => {
      const [row] = await postgres.primary.query<{ count: string }>(
        "SELECT count(*) FROM audit_event WHERE method = 'GetConnectionCredential'",
      );
      return Number(row?.count);
    };
    // Reads whose answers the end of the test cut short were made too: at most one for each pod.
    await until("all reads are stored", async () => (await stored()) >= expected, 60_000);
    expect((await stored()) - expected).toBeLessThanOrEqual(pods.length);
  });
});

function untilRelayIsThere(cluster: Cluster): Promise<void> {
  return until("the relay has told the stream everything", () => relayIsThere(cluster), 60_000);
}

/** It needn't keep up, but it must go on. */
async function untilRelayTellsMore({ pods }: Cluster): Promise<void> {
  const published = async (): Promise<number> => {
    const counts = await Promise.all(pods.map((pod) => metricOf(pod, "ops_relay_published")));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const before = await published();
  await until("the relay has told the stream more", async () => (await published()) >= before + 10, 60_000);
}

/** One pod leads, and it has nothing left to tell. */
async function relayIsThere({ pods }: Cluster): Promise<boolean> {
  const leads = await Promise.all(pods.map((pod) => metricOf(pod, "ops_relay_leader")));
  const lags = await Promise.all(pods.map((pod) => metricOf(pod, "ops_relay_lag_revisions")));
  return leads.some((leading, index) => leading === 1 && (lags[index] ?? Infinity) <= pods.length);
}
