import { isDeepStrictEqual } from "node:util";
import { toJson } from "@bufbuild/protobuf";
import {
  OperationalState,
  OperatorHealthSchema,
  type OperatorHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { expect } from "vitest";
import type { Pod } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { meshOf } from "./support-clients.ts";

/** The health of these operators as one pod has it. */
export async function healthAt(
  pod: Pod,
  operatorIds: readonly string[],
  includeObservers = false,
): Promise<OperatorHealth[]> {
  const { operators } = await meshOf(pod, 10_000).getHealth({ operatorIds: [...operatorIds], includeObservers });
  return operators;
}

/** The states of the links `main`, as names by operator. */
export async function statesAt(pod: Pod, operatorIds: readonly string[]): Promise<Record<string, string>> {
  const operators = await healthAt(pod, operatorIds);
  return Object.fromEntries(
    operators.map(({ operatorId, connections }) => [operatorId, OperationalState[connections["main"]?.state ?? 0]!]),
  );
}

/** Resolves when each of the pods has these states. */
export async function untilStates(
  pods: readonly Pod[],
  expected: Readonly<Record<string, string>>,
  patience = 60_000,
): Promise<void> {
  let seen: unknown;
  const ids = Object.keys(expected);
  try {
    await until(
      "every pod has the states that the reports tell of",
      async () => {
        seen = await Promise.all(pods.map((pod) => statesAt(pod, ids)));
        return pods.every((_, index) => isDeepStrictEqual((seen as object[])[index], expected));
      },
      patience,
    );
  } catch (error) {
    expect(seen, String(error)).toEqual(pods.map(() => expected));
    throw error;
  }
}

/** At rest all pods say the same of these operators, observers included, and what they keep in memory is what they compute. */
export async function expectSameHealth(pods: readonly Pod[], operatorIds: readonly string[]): Promise<void> {
  let told: unknown[] = [];
  const ask = async (): Promise<boolean> => {
    told = await Promise.all(
      pods.flatMap((pod) =>
        [true, false].map(async (observers) => (await healthAt(pod, operatorIds, observers)).map(withoutTime)),
      ),
    );
    const [[first], kept] = [told, told.filter((_, index) => index % 2 === 1)];
    const computed = told.filter((_, index) => index % 2 === 0);
    return (
      computed.every((each) => isDeepStrictEqual(each, first)) &&
      kept.every((each) => isDeepStrictEqual(each, (first as object[]).map(withoutObservers)))
    );
  };
  // A report that has just come may be on its way to one of them, and each looks at the clock twice a second.
  await until("all pods say the same", ask, 20_000).catch(() => undefined);
  const [first] = told;
  for (let index = 0; index < told.length; index += 2) {
    expect(told[index], `computed by ${pods[index / 2]?.name}`).toEqual(first);
    expect(told[index + 1], `kept by ${pods[index / 2]?.name}`).toEqual((first as object[]).map(withoutObservers));
  }
}

/** Of its own clock and configuration's position. */
function withoutTime(health: OperatorHealth): object {
  return toJson(OperatorHealthSchema, { ...health, token: "", healthTime: undefined }) as object;
}

function withoutObservers(health: object): object {
  const { connections } = health as { connections: Record<string, { observers?: unknown }> };
  const without = Object.entries(connections).map(([id, { observers: _, ...rest }]) => [id, rest] as const);
  return { ...health, connections: Object.fromEntries(without) };
}
