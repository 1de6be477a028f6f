import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { opsReason, retryAfterMs } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { describe, expect, it } from "vitest";
import { startCluster, type Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { positionOf } from "../history-checker/record-watch.ts";
import type { AdminClient } from "../history-checker/writers.ts";
import { adminOf, meshOf, metricOf } from "./support-clients.ts";
import { startCuttingProxy } from "./support-cutting-proxy.ts";
import { readHeadRevision, readHistory } from "./support-truth.ts";

/** The database ends a silent transaction after 5 s; the design promises 6. The rest is for a machine that has more to do. */
const WRITES_AGAIN_WITHIN_MS = 15_000;
/** Each round freezes the pod anew. */
const ROUNDS = 2;

/**
 * Invariant: a pod that is frozen while it holds the lock of all writes stops the others for no longer than the database lets a transaction
 * say nothing (5 s); those who wait meanwhile are told to try again. Reads and watches of the others never stop, and what they serve
 * never counts as stale. Nothing of the frozen pod's transaction is left, and its caller's repetition makes it once.
 */
describe("a pod frozen while it holds the head's lock", () => {
  it("holds the others up for seconds, and their reads and watches not at all", async () => {
    await using cluster = await startCluster({ pods: 2, nats: 1 });
    await using proxy = await startCuttingProxy(cluster.postgres.primary.port);
    const url = `postgres://ops_service@127.0.0.1:${proxy.port}/ops`;
    const others = [...cluster.pods];
    const frozen = await cluster.startPod({ env: { OPS_POSTGRES_URL: url } });
    const [first, second] = others.map((pod) => adminOf(pod, cluster, 10_000));
    if (first === undefined || second === undefined) throw new Error("two pods are needed");
    await first.createOperator({ operatorId: "acme", requestId: randomUUID() });
    const following = others.map((pod) => follow(pod));

    for (let round = 0; round < ROUNDS; round++) {
      const before = await readHeadRevision(cluster.postgres);
      // Held after the lock was given and before anything else is asked: idle in transaction.
      const held = proxy.injure(({ index, sql }) => index === 2 && sql !== "commit", { kind: "hold" });
      const requestId = randomUUID();
      const operator = { displayName: `by the frozen one, round ${round}` };
      const mine = { operatorId: "acme", operator, updateMask: { paths: ["display_name"] }, requestId };
      const caught = adminOf(frozen, cluster, 30_000)
        .updateOperator(mine)
        .then(() => "answered")
        .catch((error: unknown) => ConnectError.from(error).code);
      const { step, ended } = await held;
      frozen.pause();
      const since = performance.now();
      expect(step.index).toBe(2);

      const tries = await Promise.all(
        [first, second].map((admin, index) => writeUntilDone(admin, `op-${round}-${index}`)),
      );
      const waited = performance.now() - since;
      await ended; // by the database, which nobody else can have told
      const refusals = tries.reduce((sum, each) => sum + each, 0);
      expect(refusals).toBeGreaterThan(0);
      expect(waited).toBeLessThan(WRITES_AGAIN_WITHIN_MS);
      expect(await readHeadRevision(cluster.postgres)).toBe(before + 2);

      frozen.resume();
      expect(await caught).toBe(Code.Unavailable);
      const { operator: made, token } = await adminOf(frozen, cluster, 10_000).updateOperator(mine);
      expect(made?.displayName).toBe(operator.displayName);
      expect((await first.updateOperator(mine)).token).toBe(token);
      expect(await readHeadRevision(cluster.postgres)).toBe(before + 3);
      console.log(`round ${round}: ${refusals} calls refused, the others wrote again after ${Math.round(waited)} ms`);
    }

    const last = await readHeadRevision(cluster.postgres);
    for (const follower of following) await until("its watch has come to the end", () => follower.revisions >= last);
    const seen = await Promise.all(following.map((follower) => follower.end()));
    console.log(
      `the others meanwhile: ${seen.map(({ reads, bookmarks }) => `${reads} reads, ${bookmarks} bookmarks`).join("; ")}`,
    );
    for (const { problems, reads, bookmarks } of seen) {
      expect(problems).toEqual([]);
      expect(reads).toBeGreaterThan(50);
      expect(bookmarks).toBeGreaterThan(3 * ROUNDS);
    }
    for (const pod of others) expect(await metricOf(pod, "ops_catalog_poll_failures")).toBe(0);
    const log = cluster.postgres.primary.server.log();
    expect(log.split("terminating connection due to idle-in-transaction timeout")).toHaveLength(ROUNDS + 1);
    const { truth } = await readHistory(cluster.postgres);
    expect(truth.map(({ position }) => position.revision)).toEqual(truth.map((_, index) => index + 1));
    const { valid, problems } = await first.verifyHistory({});
    expect({ valid, problems }).toEqual({ valid: true, problems: [] });
  });
});

/** Creates an operator; how often that was refused before it was done. Every refusal says when to come back, and nothing else is wrong. */
async function writeUntilDone(admin: AdminClient, operatorId: string): Promise<number> {
  const requestId = randomUUID();
  const giveUp = performance.now() + 2 * WRITES_AGAIN_WITHIN_MS;
  for (let refusals = 0; ; refusals++) {
    try {
      await admin.createOperator({ operatorId, requestId });
      return refusals;
    } catch (error) {
      expect(opsReason(error)).toBe(ErrorReason.DATABASE_UNAVAILABLE);
      expect(retryAfterMs(error)).toBeGreaterThan(0);
      if (performance.now() > giveUp) throw error;
    }
  }
}

/** Reads from a pod all the time, and watches it with a bookmark a second, until it is told to end. */
function follow(pod: Pod) {
  const problems: string[] = [];
  const stop = new AbortController();
  const counts = { reads: 0, bookmarks: 0, revisions: 0 };
  const { signal } = stop;
  const complain = (what: string) => (error: unknown) => {
    if (!signal.aborted) problems.push(`${pod.name}, ${what}: ${String(error)}`);
  };
  const read = async (): Promise<void> => {
    // A deadline that a reader notices: memory answers at once.
    const mesh = meshOf(pod, 2_000);
    for (; !signal.aborted; counts.reads++) {
      const { staleSince } = await mesh.getOperator({ operatorId: "acme" });
      if (staleSince !== undefined) problems.push(`${pod.name}: a read was stale`);
      await new Promise((resolve) => setTimeout(resolve, 10)); // a pace, not a wait
    }
  };
  const watch = async (): Promise<void> => {
    const request = { initialSnapshot: false, bookmarkInterval: { seconds: 1n } };
    for await (const { message } of meshOf(pod, 300_000).watchOperators(request, { signal })) {
      if (message.case === "changes") counts.revisions = positionOf(message.value.token).revision;
      else if (message.case === "bookmark") {
        counts.bookmarks++;
        counts.revisions = positionOf(message.value.token).revision;
        if (message.value.staleSince !== undefined) problems.push(`${pod.name}: a bookmark was stale`);
      }
    }
  };
  const running = Promise.all([read().catch(complain("reads")), watch().catch(complain("watch"))]);
  return {
    get revisions() {
      return counts.revisions;
    },
    end: async () => {
      stop.abort();
      await running;
      return { ...counts, problems };
    },
  };
}
