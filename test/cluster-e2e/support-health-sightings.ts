import { OperationalState, type OperatorHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import type { Reporters } from "./support-reporters.ts";

/** What pods told of the reporters' links. */
export interface HealthSightings {
  /** Notes a pod's answer to a call that began at `started`. The outcome: `OK`, or the state of the link that is well. */
  note(pod: Pod, started: number, operators: readonly OperatorHealth[]): string;
  /** Resolves when each of the pods has told, since then, both states of the link that is DOWN and UP by turns. */
  followed(since: number, pods: readonly Pod[]): Promise<void>;
  /** Resolves when all links are UNKNOWN to each of the pods. */
  aged(since: number, pods: readonly Pod[]): Promise<void>;
}

export function healthSightings({ steady, flapping }: Pick<Reporters, "steady" | "flapping">): HealthSightings {
  const seen: { readonly pod: string; readonly started: number; readonly states: ReadonlyMap<string, string> }[] = [];
  return {
    note: (pod, started, operators) => {
      const states = new Map(
        operators.map(({ operatorId, connections }) => {
          const state = connections["main"]?.state ?? OperationalState.UNSPECIFIED;
          return [operatorId, OperationalState[state] ?? "none"];
        }),
      );
      seen.push({ pod: pod.name, started, states });
      const state = states.get(steady.operatorId) ?? "none";
      return state === "UP" ? "OK" : state;
    },
    followed: (since, pods) =>
      until(
        "every pod has told that a link is DOWN and UP by turns",
        () => {
          const told = seen.filter(({ started }) => started >= since);
          return pods.every(({ name }) =>
            ["UP", "DOWN"].every((state) =>
              told.some(({ pod, states }) => pod === name && states.get(flapping.operatorId) === state),
            ),
          );
        },
        60_000,
      ),
    aged: (since, pods) =>
      until(
        "every pod tells that all links are UNKNOWN",
        () =>
          pods.every(({ name }) => {
            const last = seen.findLast(({ pod, started }) => pod === name && started >= since);
            return [steady, flapping].every(({ operatorId }) => last?.states.get(operatorId) === "UNKNOWN");
          }),
        90_000,
      ),
  };
}
