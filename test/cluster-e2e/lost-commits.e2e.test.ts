import { randomUUID } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { OperatorCatalog, opsReason } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { openJetStreamBus } from "../../src/backends/bus/jetstream-bus.ts";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import type { PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { ConfigConsumer } from "../relay/config-consumer.ts";
import { untilAnswered } from "../history-checker/writers.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { servedBytes } from "./support-stored-bytes.ts";

/** Three operators exist on both servers; then three commits are lost. */
const LOST = 3;

/**
 * Invariant (consistency.md, test 2): after a failover to an asynchronous standby that lacks acknowledged commits, no pod, catalog of the SDK, consumer of the bus
 * or etag ends on what was lost, whatever the new head's number; and a pod that can't reach the new primary never says HISTORY_CHANGED.
 */
describe("a failover that loses commits", () => {
  test.each([
    ["lower than", 0],
    ["the same as", LOST],
    ["higher than", LOST + 2],
  ])("leaves nobody on what was lost, with a new head that is %s the old one", async (_, regained) => {
    await using cluster = await startCluster({ nats: 1 });
    const [near, other, cutOff] = cluster.pods;
    const { primary, replica } = cluster.postgres;
    if (near === undefined || other === undefined || cutOff === undefined || replica === undefined) throw new Error();
    const admin = adminOf(near, cluster, 20_000);
    for (const operatorId of ["kept-0", "kept-1", "kept-2"]) await admin.createOperator({ operatorId });
    await until("the replica has them", async () => (await operatorsOf(replica)).size === 3);

    await stopReplication(replica);
    await admin.updateOperator({ ...rename("kept-0", "lost"), requestId: randomUUID() });
    const { operator: lost } = await admin.updateOperator({ ...rename("kept-1", "lost too"), requestId: randomUUID() });
    await admin.createOperator({ operatorId: "lost-op" });
    const lostToken = await listToken(near);
    await using followers = await follow(cluster);
    await followers.hold(await operatorsOf(primary));

    const stranger = watchAt(cutOff, lostToken); // knows the lost position, and nothing else will be told
    await primary.server.kill();
    for (const link of [cutOff.links.primary, cutOff.links.replica]) await link.cut();
    await cluster.postgres.promote();
    for (const pod of [near, other]) await pod.links.primary.retarget(replica.port);
    await until("the new primary takes writes", async () => (await writesAgain(near, cluster)) !== undefined);
    for (let write = 1; write <= regained; write++) {
      await untilAnswered((requestId) => admin.createOperator({ operatorId: `regained-${write}`, requestId }));
    }

    // Nobody who can know ends on what was lost.
    const truth = await operatorsOf(replica);
    expect([...truth.keys()]).not.toContain("lost-op");
    for (const pod of [near, other]) {
      await until(`${pod.name} serves the new history`, async () =>
        sameOperators((await servedBytes(pod.service.url)).bytes, truth),
      );
      expect(await endOf(watchAt(pod, lostToken))).toBe("HISTORY_CHANGED");
    }
    await followers.hold(truth, [near, other]);
    const onLost = { ...rename("kept-1", "on what was lost"), etag: lost?.etag ?? "", requestId: randomUUID() };
    expect(await reasonOf(admin.updateOperator(onLost))).toBe("ETAG_MISMATCH");

    // The one that can't know answers from memory, and doesn't claim to know.
    // (With nothing regained, the new head is a position that it knows.)
    if (regained > 0) expect(await endOf(watchAt(cutOff, await listToken(near)))).toBe("CATALOG_BEHIND");
    await meshOf(cutOff).getOperator({ operatorId: "lost-op" });
    expect(stranger.ended()).toBe("");

    // Until it can reach the primary.
    for (const link of [cutOff.links.primary, cutOff.links.replica]) {
      await link.retarget(replica.port);
      await link.heal();
    }
    expect(await endOf(stranger)).toBe("HISTORY_CHANGED");
    await followers.hold(truth);
    const { valid, problems, revisions } = await admin.verifyHistory({});
    expect({ valid, problems }).toEqual({ valid: true, problems: [] });
    expect(followers.resyncs.length).toBeGreaterThanOrEqual(cluster.pods.length);
    console.log(
      `${LOST} acknowledged writes lost on purpose, ${regained} made since; ${revisions} revisions; catalogs that listed again: ` +
        `${followers.resyncs.join(", ")}; resets on the bus: ${followers.resets()}`,
    );
  });
});

function rename(operatorId: string, displayName: string) {
  return { operatorId, operator: { displayName }, updateMask: { paths: ["display_name"] } };
}

/** A write that changes nothing makes no revision: it only shows that the primary takes writes. */
async function writesAgain(pod: Pod, cluster: Cluster): Promise<string | undefined> {
  const { token } = await adminOf(pod, cluster, 20_000).updateOperator(rename("kept-2", ""));
  return token;
}

/** The pod's position, as a token that a watch may resume from. */
async function listToken(pod: Pod): Promise<string> {
  const consistency = { requirement: { case: "fullyConsistent", value: true } } as const;
  return (await meshOf(pod, 20_000).listOperators({ consistency })).token;
}

/** From here on the standby gets nothing more, though nobody notices. */
async function stopReplication(replica: PostgresNode): Promise<void> {
  await replica.query("alter system set primary_conninfo = ''");
  await replica.query("select pg_reload_conf()");
  await until("replication has stopped", async () => {
    return (await replica.query("select from pg_stat_wal_receiver")).length === 0;
  });
}

/** The encoded live operators, as hex, by id. */
async function operatorsOf(node: PostgresNode): Promise<ReadonlyMap<string, string>> {
  const rows = await node.query<{ id: string; record: Buffer }>(
    "select id, record from operator where delete_time is null",
  );
  return new Map(rows.map(({ id, record }) => [id, record.toString("hex")]));
}

function sameOperators(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([id, bytes]) => other.get(id) === bytes);
}

/** A watch that resumes from a token. */
function watchAt(pod: Pod, startToken: string) {
  let outcome = "";
  const ended = (async () => {
    try {
      for await (const _ of meshOf(pod, 120_000).watchOperators({ startToken })) continue;
      outcome = "OK";
    } catch (error) {
      outcome = nameOf(error);
    }
  })();
  return { ended: () => outcome, done: ended };
}

async function endOf({ ended, done }: ReturnType<typeof watchAt>): Promise<string> {
  await done;
  return ended();
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(() => "OK", nameOf);
}

function nameOf(error: unknown): string {
  const reason = opsReason(error);
  return reason === undefined ? String(error) : (ErrorReason[reason] ?? "");
}

/** A catalog of the SDK on every pod, and a consumer of the bus. */
async function follow(cluster: Cluster) {
  const resyncs: string[] = [];
  const catalogs = await Promise.all(
    cluster.pods.map(async (pod) => {
      const client = createMeshClient({ baseUrl: pod.service.url });
      const catalog = await OperatorCatalog.start({ client, bookmarkIntervalMs: 1_000, ready: { timeoutMs: 30_000 } });
      catalog.on("resync", ({ reason }) => resyncs.push(`${pod.name} ${reason}`));
      return { pod, catalog };
    }),
  );
  const { nats } = cluster;
  const bus = openJetStreamBus({
    servers: nats.servers,
    user: nats.user,
    password: { get: () => Promise.resolve(nats.password), forget: () => undefined },
    streams: "expect",
    replicas: nats.nodes.length,
    logger: pino({ level: "silent" }),
  });
  const consumer = ConfigConsumer.start(bus, `test-${randomUUID()}`, () => {
    throw new Error("no operator here is too large for the bus");
  });
  return {
    resyncs,
    resets: () => consumer.resets,
    /** Resolves when the consumer of the bus, and the catalogs on these pods, hold exactly these operators. */
    hold: async (truth: ReadonlyMap<string, string>, pods: readonly Pod[] = cluster.pods) => {
      const operators = [...truth.values()].map((hex) => fromBinary(OperatorSchema, Buffer.from(hex, "hex")));
      for (const { pod, catalog } of catalogs) {
        if (!pods.includes(pod)) continue;
        await until(
          `the catalog on ${pod.name} holds the truth`,
          () =>
            operators.every(({ id, uid, displayName }) => {
              const held = catalog.operator(id);
              return held?.uid === uid && held.displayName === displayName;
            }) &&
            (truth.has("lost-op") || catalog.operator("lost-op") === undefined),
        );
      }
      await until("the consumer of the bus holds the truth", () => {
        const held = new Map([...consumer.operators].map(([id, bytes]) => [id, Buffer.from(bytes).toString("hex")]));
        return sameOperators(held, truth);
      });
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(catalogs.map(({ catalog }) => catalog.close()));
      await consumer.close();
      await bus.close();
    },
  };
}
