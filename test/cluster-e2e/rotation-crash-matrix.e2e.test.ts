import { randomUUID } from "node:crypto";
import type { ConnectionCredential } from "@operator-management/contract/ops/v1/credential_pb.js";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import type { AdminClient } from "../history-checker/writers.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { countsOf, difference, expectUnbroken, sum, words, type Counts } from "./support-credential-truth.ts";
import { isStep, startDoomedPod, type DoomedPod, type Statement, type Stop } from "./support-doomed-pod.ts";

const PUT = /^POST \/v1\/secret\/data\/ops\/operators\//;
const ROTATIONS_IN_A_ROW = 12;
const acme = { operatorId: "acme", connectionId: "main" };

/** A call that begins or ends a rotation. */
interface Command {
  readonly name: "rotate" | "promote" | "cancel";
  /** How many writing transactions it takes. */
  readonly transactions: number;
  /** What it leaves when it is done. */
  readonly done: Counts;
}
const rotating: Command = { name: "rotate", transactions: 2, done: { PENDING: 1, secrets: 1 } };
const promoting: Command = { name: "promote", transactions: 1, done: { PENDING: -1, SUPERSEDED: 1 } };
const cancelling: Command = { name: "cancel", transactions: 1, done: { PENDING: -1, CANCELLED: 1 } };

/** A moment at which a pod is killed, and what the call has left behind then. */
interface KillPoint {
  readonly name: string;
  readonly stop: Stop;
  readonly left: Counts;
}

type Reply = { readonly credential?: ConnectionCredential | undefined; readonly token: string };

/**
 * Invariant (consistency.md, test 8): whenever a pod dies in a rotation, every ACTIVE or PENDING version's secret is readable, a connection has
 * at most one of each, and nothing is stuck: the same call elsewhere does what is left to do, once.
 */
describe("rotations, with a pod killed at every step", () => {
  let cluster: Cluster;
  let doomed: DoomedPod;
  let survivors: readonly [AdminClient, AdminClient];
  const passwords = new Map<string, string>();

  beforeAll(async () => {
    cluster = await startCluster({ pods: 2, nats: 1, replica: false });
    doomed = await startDoomedPod(cluster);
    const [first, second] = cluster.pods.map((pod) => adminOf(pod, cluster, 20_000));
    if (first === undefined || second === undefined) throw new Error("two pods are needed");
    survivors = [first, second];
    await first.createOperator({ operatorId: "acme", operator: { connections: { main: {} } } });
    const { credential } = await first.setConnectionCredential({ ...acme, systemId: "acme", password: "pw-0" });
    passwords.set(credential?.id ?? "", "pw-0");
  });
  afterAll(async () => {
    await doomed?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** Makes the call as often as is wanted, always with the same request id. */
  const callOf = (command: Command, pendingId: string) => {
    const requestId = randomUUID();
    const password = `pw-${requestId.slice(0, 5)}`;
    return async (admin: AdminClient): Promise<Reply> => {
      if (command === rotating) {
        const version = { systemId: "acme", password, mode: RotationMode.REPLACE };
        const reply = await admin.rotateConnectionCredential({ ...acme, ...version, requestId });
        passwords.set(reply.credential?.pending?.id ?? "", password);
        return reply;
      }
      const named = { ...acme, credentialId: pendingId, requestId };
      if (command === promoting) return admin.promoteConnectionCredential(named);
      return admin.cancelCredentialRotation(named);
    };
  };
  /** Brings the connection to where the command begins. Resolves to the pending version's id; empty: there is none. */
  const prepare = async (command: Command): Promise<string> => {
    const [admin] = survivors;
    const { operator } = await admin.getOperator({ operatorId: "acme" });
    const pending = operator?.connections["main"]?.credential?.pending?.id ?? "";
    if (command !== rotating) {
      return pending || ((await callOf(rotating, "")(admin)).credential?.pending?.id ?? "");
    }
    if (pending !== "") await admin.cancelCredentialRotation({ ...acme, credentialId: pending });
    return "";
  };
  /** Every pod knows these as the connection's credentials, and hands out their passwords. */
  const expectReadable = async ({ credential, token: minimumToken }: Reply): Promise<void> => {
    const ids = [credential?.active, credential?.pending].flatMap((version) => (version ? [version.id] : []));
    for (const pod of cluster.pods) {
      for (const credentialId of ids) {
        const { secret } = await meshOf(pod, 20_000).getConnectionCredential({ ...acme, credentialId, minimumToken });
        expect(secret?.password, `through ${pod.name}`).toBe(passwords.get(credentialId));
      }
    }
  };
  const steps = (statements: readonly Statement[], transaction: number, left: Counts): KillPoint[] =>
    statements
      .filter((each) => each.transaction === transaction && isStep(each))
      .map((each) => ({ name: each.sql.slice(0, 40), stop: doomed.beforeStatement(each), left }));
  const pointsOf = async (command: Command): Promise<KillPoint[]> => {
    const pending = await prepare(command);
    const statements = await doomed.watch(command.transactions, callOf(command, pending));
    const last = command.transactions - 1;
    const end = { name: "behind the revision's COMMIT", stop: doomed.afterCommit(last), left: command.done };
    if (command !== rotating) return [...steps(statements, last, {}), end];
    return [
      ...steps(statements, 0, {}),
      { name: "behind the staging's COMMIT", stop: doomed.afterCommit(0), left: { STAGED: 1 } },
      { name: "before Vault", stop: doomed.atRequestToVault(PUT, "before Vault"), left: { STAGED: 1 } },
      { name: "behind Vault", stop: doomed.atRequestToVault(PUT, "after Vault"), left: { STAGED: 1, secrets: 1 } },
      ...steps(statements, last, { STAGED: 1, secrets: 1 }),
      end,
    ];
  };

  test.each([rotating, promoting, cancelling])(
    "$name: what is in use stays readable, and the same call elsewhere makes exactly one",
    async (command) => {
      const points = await pointsOf(command);
      expect(points.filter(({ name }) => name === "commit")).toHaveLength(command.transactions);
      for (const [nth, point] of points.entries()) {
        const call = callOf(command, await prepare(command));
        const before = countsOf(await expectUnbroken(cluster));
        await doomed.killAt(point.stop, call);
        expect(difference(before, countsOf(await expectUnbroken(cluster))), `killed at ${point.name}`).toEqual(
          point.left,
        );
        const [here, there] = nth % 2 === 0 ? survivors : survivors.toReversed();
        if (here === undefined || there === undefined) throw new Error("two pods are needed");
        const reply = await call(here);
        expect(await call(there)).toEqual(reply);
        const made = point.left === command.done ? command.done : sum(point.left, command.done);
        expect(difference(before, countsOf(await expectUnbroken(cluster))), `after ${point.name}`).toEqual(made);
        await doomed.restarted();
        await expectReadable(reply);
      }
      console.log(`${command.name}: ${points.length} kills; ${words(await expectUnbroken(cluster))}`);
    },
  );

  test("twelve rotations in a row, through all pods in turn", async () => {
    await prepare(rotating);
    const before = countsOf(await expectUnbroken(cluster));
    for (let nth = 0; nth < ROTATIONS_IN_A_ROW; nth++) {
      const [one, other] = [cluster.pods[nth % 3], cluster.pods[(nth + 1) % 3]];
      if (one === undefined || other === undefined) throw new Error("there are three pods");
      const begun = await callOf(rotating, "")(adminOf(one, cluster, 20_000));
      await expectReadable(begun);
      await expectReadable(
        await callOf(promoting, begun.credential?.pending?.id ?? "")(adminOf(other, cluster, 20_000)),
      );
    }
    const made = { SUPERSEDED: ROTATIONS_IN_A_ROW, secrets: ROTATIONS_IN_A_ROW };
    expect(difference(before, countsOf(await expectUnbroken(cluster)))).toEqual(made);
  });
});
