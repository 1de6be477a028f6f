import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { opsMetadata, opsReason } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  CreateOperatorResponseSchema,
  SetConnectionCredentialResponseSchema,
  UpdateOperatorResponseSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { untilAnswered, type AdminClient } from "../history-checker/writers.ts";
import { adminOf } from "./support-clients.ts";
import { startCuttingProxy, type CuttingProxy, type Injury, type TransactionStep } from "./support-cutting-proxy.ts";
import { routedOperator } from "./support-routed-operator.ts";
import { readHeadRevision, readHistory } from "./support-truth.ts";

/** Each round is a race of its own. */
const ROUNDS = 20;
/** PostgreSQL's answer to COMMIT: CommandComplete (12 bytes), ReadyForQuery (6 bytes). The outcome is known with the last byte. */
const COMMIT_ANSWER_BYTES = 18;

/** What a caller is told when the connection was cut. */
type Told = "success" | "nothing was changed" | "outcome unknown";
interface Answer {
  readonly told: Told;
  /** The encoded reply, as hex. */
  readonly reply: string | undefined;
}
/** Makes a call with this request id; resolves to the encoded reply. */
type Call = (admin: AdminClient, requestId: string) => Promise<string>;

/**
 * Invariant: a call with one request id makes exactly one revision and has exactly one reply, whether it is sent to two pods at once or sent
 * again after the connection between its pod and PostgreSQL was cut, at any message of its transaction, with any part of the answer to
 * COMMIT. The caller of the call that was cut is told the truth: success, or UNAVAILABLE, and then either that nothing was changed (and
 * nothing was) or that the outcome is unknown (only from COMMIT on).
 */
describe("one request id", () => {
  let cluster: Cluster;
  let proxy: CuttingProxy;
  let cutOff: AdminClient;
  let others: readonly [AdminClient, AdminClient];
  beforeAll(async () => {
    cluster = await startCluster({ pods: 2, nats: 1 });
    proxy = await startCuttingProxy(cluster.postgres.primary.port);
    const url = `postgres://ops_service@127.0.0.1:${proxy.port}/ops`;
    cutOff = adminOf(await cluster.startPod({ env: { OPS_POSTGRES_URL: url } }), cluster, 10_000);
    const [first, second] = cluster.pods.map((pod) => adminOf(pod, cluster, 10_000));
    if (first === undefined || second === undefined) throw new Error("two pods are needed");
    others = [first, second];
    const operator = routedOperator("26201");
    await untilAnswered((requestId) => first.createOperator({ operatorId: "acme", operator, requestId }));
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  const head = (): Promise<number> => readHeadRevision(cluster.postgres);

  const pairs: readonly [string, (round: number) => Call][] = [
    ["CreateOperator", (round) => createCall(`twin-${round}`)],
    ["UpdateOperator", (round) => updateCall(`at once ${round}`)],
    ["SetConnectionCredential", (round) => credentialCall(`pw-${round}`)],
  ];
  it.each(pairs)("sent to two pods at once makes one revision and has one reply: %s", async (method, callOf) => {
    for (let round = 0; round < ROUNDS; round++) {
      const call = callOf(round);
      const requestId = randomUUID();
      const before = await head();
      const [a, b] = await Promise.all(others.map((admin) => call(admin, requestId)));
      expect(a).toBe(b);
      expect(await head()).toBe(before + 1);
    }
    console.log(`${method}: ${2 * ROUNDS} calls at once in pairs, ${ROUNDS} revisions`);
  });

  /** Makes the call at the pod that is cut off from the database at this step, then again elsewhere, twice. */
  const cutAndRepeat = async (where: (step: TransactionStep) => boolean, injury: Injury, call: Call, again: number) => {
    const requestId = randomUUID();
    const before = await head();
    const inflicted = proxy.injure(where, injury);
    const first = await answerOf(call(cutOff, requestId));
    const { ended } = await inflicted;
    await ended;
    const between = await head();
    // At the same pod, over a new connection, or at another.
    const repeated = await untilAnswered(() => call(again % 2 === 0 ? cutOff : others[0], requestId));
    expect(await call(others[1], requestId)).toBe(repeated);
    if (first.reply !== undefined) expect(first.reply).toBe(repeated);
    expect(await head()).toBe(before + 1);
    return { told: first.told, made: between - before };
  };

  it("whose transaction is cut at any of its messages makes one revision and has one reply", async () => {
    // The first transaction of a process, and then one a minute, also removes old replies: the second one doesn't.
    await updateCall("to get that over with")(cutOff, randomUUID());
    await updateCall("to see what a transaction consists of")(cutOff, randomUUID());
    const steps = proxy.lastTransaction();
    const commit = steps.length - 1;
    expect(steps[0]?.sql).toBe("begin");
    expect(steps[1]?.sql).toContain("for update");
    expect(steps[commit]?.sql).toBe("commit");
    const told = new Map<Told, number>();
    let cuts = 0;
    const injure = async (index: number, injury: Injury, possible: Record<string, readonly Told[]>) => {
      const name = `${injury.kind}${"after" in injury ? ` after ${injury.after} bytes` : ""} at ${index}`;
      const where = ({ index: at, sql }: TransactionStep): boolean =>
        index === commit ? sql === "commit" : at === index && sql !== "commit";
      const result = await cutAndRepeat(where, injury, updateCall(`${name}, as cut ${cuts++}`), index);
      told.set(result.told, (told.get(result.told) ?? 0) + 1);
      expect(Object.keys(possible), name).toContain(String(result.made));
      expect(possible[result.made], name).toContain(result.told);
    };

    for (const { index, type } of steps.slice(0, commit)) {
      await injure(index, { kind: "cut before" }, { 0: ["nothing was changed"] });
      const isAnswered = type === "Q" || type === "S";
      if (isAnswered) await injure(index, { kind: "cut the answer", after: 0 }, { 0: ["nothing was changed"] });
    }
    await injure(commit, { kind: "cut before" }, { 0: ["outcome unknown"] });
    for (let round = 0; round < 5; round++) {
      await injure(commit, { kind: "cut behind" }, { 0: ["outcome unknown"], 1: ["outcome unknown"] });
    }
    for (let after = 0; after < COMMIT_ANSWER_BYTES; after++) {
      await injure(commit, { kind: "cut the answer", after }, { 1: ["outcome unknown"] });
    }
    await injure(commit, { kind: "cut the answer", after: COMMIT_ANSWER_BYTES }, { 1: ["success"] });
    console.log(
      `${steps.length} messages in a transaction, ${cuts} cuts; told: ${JSON.stringify(Object.fromEntries(told))}`,
    );
  });

  const credentialCuts: readonly [string, number, Injury][] = [
    ["the staging's COMMIT", 1, { kind: "cut before" }],
    ["the staging's COMMIT", 1, { kind: "cut the answer", after: 0 }],
    ["the revision's COMMIT", 2, { kind: "cut before" }],
    ["the revision's COMMIT", 2, { kind: "cut the answer", after: 0 }],
  ];
  it.each(credentialCuts)(
    "of a credential that is cut at %s makes one revision and has one reply",
    async (_, nth, cut) => {
      let commits = 0;
      const result = await cutAndRepeat(
        ({ sql }) => sql === "commit" && ++commits === nth,
        cut,
        credentialCall(`pw-${nth}`),
        nth,
      );
      expect(result.made).toBe(nth === 2 && cut.kind === "cut the answer" ? 1 : 0);
      expect(result.told).toBe(nth === 2 ? "outcome unknown" : "nothing was changed");
    },
  );

  it("left a history whose chain verifies, with each change once", async () => {
    const { rows } = await readHistory(cluster.postgres);
    const { valid, problems, revisions } = await others[0].verifyHistory({}, { timeoutMs: 60_000 });
    expect({ valid, problems }).toEqual({ valid: true, problems: [] });
    expect(revisions).toBe(rows.length);
  });
});

async function answerOf(call: Promise<string>): Promise<Answer> {
  try {
    return { told: "success", reply: await call };
  } catch (error) {
    expect(ConnectError.from(error).code).toBe(Code.Unavailable);
    expect(opsReason(error)).toBe(ErrorReason.DATABASE_UNAVAILABLE);
    const isUnknown = opsMetadata(error)["outcome"] === "unknown";
    return { told: isUnknown ? "outcome unknown" : "nothing was changed", reply: undefined };
  }
}

function createCall(operatorId: string): Call {
  return async (admin, requestId) =>
    hex(toBinary(CreateOperatorResponseSchema, await admin.createOperator({ operatorId, requestId })));
}

/** The name must be another one each time: a change that changes nothing makes no revision. */
function updateCall(displayName: string): Call {
  const operator = create(OperatorSchema, { displayName });
  const request = { operatorId: "acme", operator, updateMask: { paths: ["display_name"] } };
  return async (admin, requestId) =>
    hex(toBinary(UpdateOperatorResponseSchema, await admin.updateOperator({ ...request, requestId })));
}

function credentialCall(password: string): Call {
  const request = { operatorId: "acme", connectionId: "main", systemId: "acme", password };
  return async (admin, requestId) =>
    hex(
      toBinary(SetConnectionCredentialResponseSchema, await admin.setConnectionCredential({ ...request, requestId })),
    );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
