import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { opsReason } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, it } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { randomOf, type Random } from "../history-checker/random.ts";
import { positionOf } from "../history-checker/record-watch.ts";
import { validate } from "../history-checker/validate.ts";
import { untilAnswered, write, type AdminClient } from "../history-checker/writers.ts";
import { adminOf } from "./support-clients.ts";
import { enableOperator, networksRoutedBy, routedOperator } from "./support-routed-operator.ts";
import { operatorOf, readHistory, type StoredHistory } from "./support-truth.ts";

/** As the design has it: fifty writers, four pods. */
const PODS = 4;
const EDITORS = 20;
const CREDENTIAL_SETTERS = 10;
const RIVALS_PER_NETWORK = 2;
/** Two operators each, which are the only routes to it; two writers each, of which one always wants to disable what the other counts on. */
const NETWORKS = ["26201", "26202", "26203", "26204", "26205", "20801", "20810", "20815", "20820", "23430"];
/** So that the storm lasts some 15 s on two cores. */
const CALLS_PER_WRITER = 12;

interface Tally {
  acknowledged: number;
  lastRoute: number;
}

/**
 * Invariant: whatever fifty writers do at once on four pods, no transaction deadlocks, revisions are contiguous and chained (VerifyHistory on
 * every pod), every acknowledged write is there, and at no revision has a network lost its last route: of two operators that are each
 * other's only alternative, one is always enabled, although both are being disabled all the time, on different pods.
 */
describe("a storm of fifty writers over four pods", () => {
  it("neither deadlocks nor leaves a gap nor a network in the dark", async () => {
    await using cluster = await startCluster({ pods: PODS });
    const admins = cluster.pods.map((pod) => adminOf(pod, cluster, 10_000));
    const anyAdmin = (random: Random) => (): AdminClient => random.pick(admins);
    await Promise.all(
      NETWORKS.flatMap((network, index) =>
        ["a", "b"].map((side) => enableOperator(anyAdmin(randomOf(index)), rival(network, side), network)),
      ),
    );
    const shared = ["shared-a", "shared-b"];
    for (const operatorId of shared) {
      await untilAnswered((requestId) => anyAdmin(randomOf(1))().createOperator({ operatorId, requestId }));
    }
    const before = await readHistory(cluster.postgres);

    const tally: Tally = { acknowledged: 0, lastRoute: 0 };
    const editors = indexes(EDITORS).map((index) => {
      const random = randomOf(1_000 + index);
      return write(`w${index}`, CALLS_PER_WRITER, random, shared, anyAdmin(random));
    });
    const others = [
      ...indexes(CREDENTIAL_SETTERS).map((index) => setCredentials(index, anyAdmin(randomOf(2_000 + index)), tally)),
      ...NETWORKS.flatMap((network, index) =>
        indexes(RIVALS_PER_NETWORK).map((side) => {
          const random = randomOf(3_000 + index * RIVALS_PER_NETWORK + side);
          return disableInTurn(network, side, random, anyAdmin(random), tally);
        }),
      ),
    ];
    expect(editors.length + others.length).toBe(50);
    const edits = (await Promise.all([Promise.all(editors), Promise.all(others)]))[0].flat();

    const after = await readHistory(cluster.postgres);
    const dark = networksInTheDark(after, before.truth.length);
    const [deadlocks] = await cluster.postgres.primary.query<{ n: number }>(
      "SELECT sum(deadlocks)::int AS n FROM pg_stat_database",
    );
    console.log(
      `${edits.length + tally.acknowledged} acknowledged writes by 50 writers on ${PODS} pods, ` +
        `${after.truth.length - before.truth.length} revisions, ${tally.lastRoute} refused as LAST_ROUTE, ` +
        `${deadlocks?.n} deadlocks, ${NETWORKS.length} networks checked at each revision`,
    );
    expect(deadlocks?.n).toBe(0);
    expect(dark).toEqual([]);
    expect(validate(after.truth, [], edits)).toEqual([]);
    expect(tally.lastRoute).toBeGreaterThan(0);
    await expectChainVerifies(cluster, after);
  });
});

async function expectChainVerifies(cluster: Cluster, { truth }: StoredHistory): Promise<void> {
  const head = truth.at(-1)?.position;
  for (const pod of cluster.pods) {
    const { valid, problems, revisions, token } = await adminOf(pod, cluster, 60_000).verifyHistory({});
    expect({ valid, problems, revisions }).toEqual({ valid: true, problems: [], revisions: truth.length });
    // By the chain as the test computes it.
    expect(positionOf(token)).toEqual(head);
  }
}

function rival(network: string, side: string): string {
  return `rival-${network}-${side}`;
}

/** Disables one of a network's two operators, whichever it is told to, and enables it again; the other writer does so with the other one. */
async function disableInTurn(
  network: string,
  side: number,
  random: Random,
  admin: () => AdminClient,
  tally: Tally,
): Promise<void> {
  const operatorId = rival(network, side === 0 ? "a" : "b");
  for (let call = 0; call < CALLS_PER_WRITER; call++) {
    const target = call % 2 === 0 ? AdminState.DISABLED : AdminState.ENABLED;
    // Either the operator itself or the only connection that it has.
    const connectionId = call % 4 < 2 ? "" : "main";
    try {
      await untilAnswered((requestId) => admin().changeAdminState({ operatorId, connectionId, target, requestId }));
      tally.acknowledged++;
    } catch (error) {
      if (opsReason(error) !== ErrorReason.LAST_ROUTE) throw error;
      tally.lastRoute++;
    }
    if (random.next() < 0.2) await refuseToDelete(admin(), operatorId);
  }
}

/** Nobody may delete what is enabled, or was a moment ago. */
async function refuseToDelete(admin: AdminClient, operatorId: string): Promise<void> {
  try {
    await admin.deleteOperator({ operatorId, requestId: randomUUID(), validateOnly: true });
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code !== Code.FailedPrecondition && code !== Code.Unavailable) throw error;
  }
}

async function setCredentials(index: number, admin: () => AdminClient, tally: Tally): Promise<void> {
  const operatorId = `secretive-${index}`;
  const operator = create(OperatorSchema, routedOperator("29341"));
  await untilAnswered((requestId) => admin().createOperator({ operatorId, operator, requestId }));
  tally.acknowledged++;
  for (let call = 1; call < CALLS_PER_WRITER; call++) {
    const credential = { operatorId, connectionId: "main", systemId: "acme", password: `pw-${index}-${call}` };
    await untilAnswered((requestId) => admin().setConnectionCredential({ ...credential, requestId }));
    tally.acknowledged++;
  }
}

/** Every network that some revision after `from` left without a route, with that revision. */
function networksInTheDark({ rows }: StoredHistory, from: number): string[] {
  const routes = new Map<string, readonly string[]>();
  const dark: string[] = [];
  for (const [revision, changes] of Map.groupBy(rows, (row) => row.revision)) {
    for (const change of changes) routes.set(change.operatorId, networksRoutedBy(operatorOf(change)));
    if (revision < from) continue;
    const routed = new Set([...routes.values()].flat());
    dark.push(...NETWORKS.filter((network) => !routed.has(network)).map((network) => `${network} at ${revision}`));
  }
  return dark;
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
