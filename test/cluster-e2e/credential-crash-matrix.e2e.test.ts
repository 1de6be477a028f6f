import { randomUUID } from "node:crypto";
import { opsReason } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sweepCredentials } from "../../src/credentials/sweep.ts";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import type { AdminClient } from "../history-checker/writers.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import {
  countsOf,
  difference,
  expectUnbroken,
  expectUsable,
  fates,
  sum,
  words,
  type Counts,
} from "./support-credential-truth.ts";
import { isStep, startDoomedPod, type DoomedPod, type Statement, type Stop } from "./support-doomed-pod.ts";
import { startHoldingVault } from "./support-holding-vault.ts";
import { openSweeper } from "./support-sweeper.ts";

const [HOUR_MS, DAY_MS] = [3_600_000, 86_400_000];
const PUT = /^POST \/v1\/secret\/data\/ops\/operators\//;
const SETS_IN_A_ROW = 12;
const acme = { operatorId: "acme", connectionId: "main" };
const spare = { operatorId: "acme", connectionId: "spare" };
const gone = { operatorId: "gone", connectionId: "main" };

/** A moment at which a pod is killed, and what the call has left behind then. */
interface KillPoint {
  readonly name: string;
  readonly stop: Stop;
  readonly left: Counts;
}
const NOTHING: Counts = {};
const ROW: Counts = { STAGED: 1 };
const ROW_AND_SECRET: Counts = { STAGED: 1, secrets: 1 };
/** The new one is ACTIVE in place of the one before. */
const REPLACED: Counts = { SUPERSEDED: 1, secrets: 1 };

/**
 * Invariant (consistency.md, test 8): whenever a pod dies, every ACTIVE or PENDING version's secret is readable, nothing is once it is purged
 * and its grace has passed, a connection has at most one ACTIVE version, and every secret in Vault has a row by which the sweep finds it.
 *
 * Of the commands those that exist are killed: SetConnectionCredential before each statement that isn't a mere read, behind both COMMITs and on
 * either side of the request to Vault; the removal of a connection; DeleteOperator; the sweep. Rotations are in rotation-crash-matrix. There
 * is no undelete or purge of an operator: a deleted operator's secrets stay.
 */
describe("credentials, with a pod killed at every step", () => {
  let cluster: Cluster;
  let doomed: DoomedPod;
  let survivors: readonly [AdminClient, AdminClient];
  /** The one of `acme` that is in use. */
  let current = { id: "", password: "", token: "" };

  beforeAll(async () => {
    cluster = await startCluster({ pods: 2, nats: 1, replica: false });
    doomed = await startDoomedPod(cluster);
    const [first, second] = cluster.pods.map((pod) => adminOf(pod, cluster, 20_000));
    if (first === undefined || second === undefined) throw new Error("two pods are needed");
    survivors = [first, second];
    await first.createOperator({ operatorId: "acme", operator: { connections: { main: {}, spare: {} } } });
    await first.createOperator({ operatorId: "gone", operator: { connections: { main: {} } } });
    current = await set(first, "pw-0");
  });
  afterAll(async () => {
    await doomed?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const set = async (admin: AdminClient, password: string, requestId: string = randomUUID(), of = acme) => {
    const reply = await admin.setConnectionCredential({ ...of, systemId: "acme", password, requestId });
    return { id: reply.credential?.id ?? "", password, token: reply.token };
  };
  /** Kills the pod there, and checks what is left; meanwhile it starts again. Resolves to what there was before. */
  const killAt = async ({ name, stop, left }: KillPoint, call: (admin: AdminClient) => Promise<unknown>) => {
    const before = countsOf(await expectUnbroken(cluster));
    await doomed.killAt(stop, call);
    expect(difference(before, countsOf(await expectUnbroken(cluster))), `killed at ${name}`).toEqual(left);
    return before;
  };
  const steps = (statements: readonly Statement[], transaction: number, left: Counts): KillPoint[] =>
    statements
      .filter((each) => each.transaction === transaction && isStep(each))
      .map((each) => ({ name: each.sql.slice(0, 40), stop: doomed.beforeStatement(each), left }));

  test("SetConnectionCredential: the one in use stays usable, and the same call elsewhere makes exactly one", async () => {
    const statements = await doomed.watch(2, (admin) => set(admin, "pw-watched"));
    current = await set(survivors[0], "pw-first");
    const points: KillPoint[] = [
      ...steps(statements, 0, NOTHING),
      { name: "behind the staging's COMMIT", stop: doomed.afterCommit(0), left: ROW },
      { name: "before Vault", stop: doomed.atRequestToVault(PUT, "before Vault"), left: ROW },
      { name: "behind Vault", stop: doomed.atRequestToVault(PUT, "after Vault"), left: ROW_AND_SECRET },
      ...steps(statements, 1, ROW_AND_SECRET),
      { name: "behind the revision's COMMIT", stop: doomed.afterCommit(1), left: REPLACED },
    ];
    expect(points.filter(({ name }) => name.startsWith('insert into "credential"'))).toHaveLength(1);
    expect(points.filter(({ name }) => name.startsWith('update "credential"'))).toHaveLength(2);
    expect(points.filter(({ name }) => name === "commit")).toHaveLength(2);

    for (const [nth, point] of points.entries()) {
      const [requestId, password] = [randomUUID(), `pw-${nth}`];
      const before = await killAt(point, (admin) => set(admin, password, requestId));
      const isMade = point.left === REPLACED;
      if (!isMade) await expectUsable(cluster.pods.slice(0, 2), acme, current);
      const [here, there] = nth % 2 === 0 ? survivors : survivors.toReversed();
      if (here === undefined || there === undefined) throw new Error("two pods are needed");
      current = await set(here, password, requestId);
      expect(await set(there, password, requestId)).toEqual(current);
      const made = isMade ? REPLACED : sum(point.left, REPLACED);
      expect(difference(before, countsOf(await expectUnbroken(cluster))), `after ${point.name}`).toEqual(made);
      await doomed.restarted();
      await expectUsable(cluster.pods, acme, current);
      current = await set(there, `${password}b`); // no lock and no path is stuck
      await expectUsable(cluster.pods, acme, current);
    }
    console.log(`SetConnectionCredential: ${points.length} kills; ${words(await expectUnbroken(cluster))}`);
  });

  test("twelve sets in a row, through all pods in turn", async () => {
    const before = countsOf(await expectUnbroken(cluster));
    for (let nth = 0; nth < SETS_IN_A_ROW; nth++) {
      const pod = cluster.pods[nth % cluster.pods.length];
      if (pod === undefined) throw new Error("there are three pods");
      current = await set(adminOf(pod, cluster, 20_000), `pw-row-${nth}`);
      await expectUsable(cluster.pods, acme, current);
    }
    const made = { SUPERSEDED: SETS_IN_A_ROW, secrets: SETS_IN_A_ROW };
    expect(difference(before, countsOf(await expectUnbroken(cluster)))).toEqual(made);
  });

  test("the removal of a connection, and of an operator: before COMMIT nothing has changed, afterwards nobody is given the credential", async () => {
    const [spareOne, goneOne] = [
      await set(survivors[0], "pw-spare", randomUUID(), spare),
      await set(survivors[0], "pw-gone", randomUUID(), gone),
    ];
    const removals = [
      {
        ...{ of: spare, held: spareOne, left: { ACTIVE: -1, SUPERSEDED: 1 }, reason: ErrorReason.CONNECTION_NOT_FOUND },
        call: (admin: AdminClient, requestId: string) =>
          admin.updateOperator({ operatorId: "acme", updateMask: { paths: ["connections.spare"] }, requestId }),
      },
      {
        ...{ of: gone, held: goneOne, left: NOTHING, reason: ErrorReason.OPERATOR_NOT_FOUND },
        call: (admin: AdminClient, requestId: string) => admin.deleteOperator({ operatorId: "gone", requestId }),
      },
    ];
    for (const { of, held, left, reason, call } of removals) {
      const requestId = randomUUID();
      const atCommit = { name: "COMMIT", stop: doomed.beforeCommit(0), left: NOTHING };
      await killAt(atCommit, (admin) => call(admin, requestId));
      await doomed.restarted();
      await expectUsable(cluster.pods, of, held);
      await killAt({ name: "behind COMMIT", stop: doomed.afterCommit(0), left }, (admin) => call(admin, requestId));
      const replies = await Promise.all(survivors.map((admin) => call(admin, requestId)));
      expect(replies[0]?.token).toBe(replies[1]?.token);
      await doomed.restarted();
      for (const pod of cluster.pods) {
        const minimumToken = replies[0]?.token ?? "";
        const read = meshOf(pod, 20_000).getConnectionCredential({ ...of, credentialId: held.id, minimumToken });
        expect(opsReason(await read.catch((error: unknown) => error))).toBe(reason);
      }
    }
    await expectUsable(cluster.pods, acme, current);
  });

  test("the sweep: nothing in use is touched, all else is gone after its grace, also with two at once and one that dies halfway", async () => {
    const { rows } = await expectUnbroken(cluster);
    const named = rows.find(({ state }) => state === "SUPERSEDED");
    if (named === undefined) throw new Error("the tests before have superseded some");
    const bound = named.id;
    const [hearing] = cluster.pods; // not the one that dies, perhaps before it has stored the report
    if (hearing === undefined) throw new Error("there are three pods");
    const binds = [{ credentialId: bound, role: BindRole.TRX, endpointId: "a", state: BindState.BOUND }];
    const report = {
      ...{ node: "smpp-1", epoch: 1n },
      connections: [{ ...acme, operatorUid: named.of.split(" ")[0] ?? "", binds }],
    };
    await meshOf(hearing, 20_000).reportNodeStatus(report);
    // A request to Vault that is under way when its pod dies, and arrives a day later.
    const late = await doomed.killAt(doomed.atRequestToVault(PUT, "before Vault"), (admin) => set(admin, "pw-late"));
    await doomed.restarted();

    await using vaultOfFirst = await startHoldingVault(cluster.vault.addr);
    let passed = HOUR_MS / 2;
    const now = (): Date => new Date(Date.now() + passed);
    await using first = openSweeper(cluster, vaultOfFirst.addr, now);
    await using second = openSweeper(cluster, cluster.vault.addr, now);
    await until("the node's report is stored", async () => (await second.deps.credentialsInUse()).has(bound));
    const never = new AbortController().signal;
    const sweepTwice = async (): Promise<Record<string, Counts>> => {
      await Promise.all([first, second].map(({ deps }) => sweepCredentials(deps, never)));
      await Promise.all([first, second].map(({ deps }) => sweepCredentials(deps, never)));
      const truth = await expectUnbroken(cluster);
      await expectUsable(cluster.pods, acme, current);
      return fates(truth);
    };
    /** The first sweep dies when Vault has done this and the row doesn't know. */
    const dieAfter = async (kind: RegExp): Promise<void> => {
      const dying = new AbortController();
      const held = vaultOfFirst.hold(kind, "after Vault");
      const sweep = sweepCredentials(first.deps, dying.signal);
      await Promise.race([held, sweep]);
      dying.abort(new Error("killed"));
      await expect(sweep).rejects.toThrow("killed");
      await expectUnbroken(cluster);
    };
    const {
      STAGED: staged = 0,
      SUPERSEDED: superseded = 0,
      ACTIVE: active = 0,
    } = countsOf(await expectUnbroken(cluster));
    const stored = fates(await expectUnbroken(cluster));
    const inUse = { readable: active };

    passed = HOUR_MS / 2;
    expect(await sweepTwice()).toEqual(stored);

    passed = 2 * HOUR_MS;
    await dieAfter(/\/delete\//);
    const { ABANDONED: abandoned = {}, ...others } = await sweepTwice();
    expect(others).toEqual({ ACTIVE: inUse, SUPERSEDED: { readable: superseded } });
    expect(abandoned).toEqual({ none: stored["STAGED"]?.["none"], deleted: stored["STAGED"]?.["readable"] });

    expect(await late.release()).toBe(200);
    passed = 8 * DAY_MS;
    await dieAfter(/\/delete\//);
    expect((await sweepTwice())["SUPERSEDED"]).toEqual({ readable: 1, deleted: superseded - 1 });

    passed = 39 * DAY_MS;
    await dieAfter(/\/destroy\//);
    await meshOf(hearing, 20_000).reportNodeStatus({ ...report, connections: [], leaving: true });
    await until("the node's leaving is stored", async () => !(await second.deps.credentialsInUse()).has(bound));
    expect((await sweepTwice())["SUPERSEDED"]).toEqual({ deleted: 1, destroyed: superseded - 1 });

    passed = 70 * DAY_MS;
    const end = await sweepTwice();
    console.log(
      `the sweep: ${staged} STAGED, ${superseded} SUPERSEDED, ${active} ACTIVE; at the end ${JSON.stringify(end)}`,
    );
    expect(end["ACTIVE"]).toEqual(inUse); // of the operator in use, and of the deleted one, which can't be purged yet
    expect(end["SUPERSEDED"]).toEqual({ destroyed: superseded });
    expect(Object.keys(end["ABANDONED"] ?? {})).not.toContain("readable");
  });
});
