import { timestampMs } from "@bufbuild/protobuf/wkt";
import { OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect } from "vitest";
import type { PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { storedTransitions, type HealthBus, type RecordedTransition } from "./support-health-bus.ts";

/** By the id of the operator, each of which has one link here. */
export function byLink(all: readonly RecordedTransition[]): Map<string, RecordedTransition[]> {
  return Map.groupBy(all, ({ transition }) => transition.operatorId);
}

/**
 * Resolves when the database has all transitions that the stream holds now, and these are, link by link, its newest, each once and in the stream's
 * order, but for those that came since. How many the stream holds.
 */
export async function untilStored(bus: HealthBus, primary: PostgresNode): Promise<number> {
  const recorded = await bus.transitions();
  let stored = new Map<string, RecordedTransition[]>();
  const hasLast = (of: readonly RecordedTransition[], operatorId: string): boolean =>
    stored.get(operatorId)?.some(({ record }) => record === of.at(-1)?.record) === true;
  await until(
    "all transitions that the bus holds are stored",
    async () => {
      stored = byLink(await storedTransitions(primary));
      return [...byLink(recorded)].every(([operatorId, of]) => hasLast(of, operatorId));
    },
    90_000,
  );
  for (const [operatorId, of] of byLink(recorded)) {
    const rows = (stored.get(operatorId) ?? []).map(({ record }) => record);
    const records = of.map(({ record }) => record);
    const first = rows.indexOf(records[0] ?? "");
    expect(rows.slice(first, first + records.length), `stored transitions of ${operatorId}`).toEqual(records);
  }
  return recorded.length;
}

/** Every link's transitions follow each other: from UNKNOWN, each from where the last one led, to something else, later and on newer evidence. */
export function expectChained(recorded: readonly RecordedTransition[]): void {
  for (const [operatorId, of] of byLink(recorded)) {
    let [state, grade, time, cause] = [OperationalState.UNKNOWN, 0, 0, 0n];
    for (const { transition } of of) {
      const what = `${operatorId}: ${OperationalState[transition.from]} to ${OperationalState[transition.to]}, by report ${transition.cause} after ${cause}`;
      expect.soft(transition.from, `${what}: begins where the last one ended`).toBe(state);
      expect.soft([transition.to, transition.grade], `${what}: changes something`).not.toEqual([state, grade]);
      const at = transition.time === undefined ? 0 : timestampMs(transition.time);
      expect.soft(at, `${what}: is later`).toBeGreaterThan(time);
      expect.soft(transition.cause >= cause, `${what}: rests on evidence that is no older`).toBe(true);
      [state, grade, time, cause] = [transition.to, transition.grade, at, transition.cause];
    }
  }
}
