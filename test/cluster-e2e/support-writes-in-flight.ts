import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { untilAnswered } from "../history-checker/writers.ts";
import { adminOf } from "./support-clients.ts";
import { readHistory } from "./support-truth.ts";

/** More than a pod has connections, so that some are under way at the database and some wait in the pod. */
const COUNT = 12;

/** Writes that a pod was asked for when it failed: some acknowledged, some made though nobody was told, some never begun. */
export interface WritesInFlight {
  /**
   * Asks the other pods for each again, with its request id, until it is answered. Creating what is there already would be an error, so
   * whoever gets an answer was recognised.
   */
  repeat(others: readonly Pod[]): Promise<void>;
  /** Each was made once, and those that ask the failed pod have been told so, or that it failed. */
  expectMadeOnce(): Promise<void>;
}

/** Resolves when the pod has acknowledged the first of them. */
export async function startWrites(cluster: Cluster, pod: Pod): Promise<WritesInFlight> {
  const writes = Array.from({ length: COUNT }, () => {
    const requestId = randomUUID();
    const request = { operatorId: `in-flight-${requestId.slice(0, 8)}`, requestId };
    return { request, answer: adminOf(pod, cluster, 60_000).createOperator(request) };
  });
  const ended = Promise.allSettled(writes.map(({ answer }) => answer));
  await Promise.any(writes.map(({ answer }) => answer));
  return {
    repeat: async (others) => {
      await Promise.all(
        writes.map(async ({ request }, index) => {
          const other = others[index % others.length];
          if (other === undefined) throw new Error("there are no other pods");
          const admin = adminOf(other, cluster, 20_000);
          await untilAnswered((requestId) => admin.createOperator({ ...request, requestId }), request.requestId);
        }),
      );
    },
    expectMadeOnce: async () => {
      await ended;
      const { rows } = await readHistory(cluster.postgres);
      const ours = writes.map(({ request }) => request.operatorId).sort();
      const made = rows.map(({ operatorId }) => operatorId).filter((id) => ours.includes(id));
      expect(made.sort(), "writes that were repeated with their request id").toEqual(ours);
    },
  };
}
