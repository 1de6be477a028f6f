import { setTimeout as delay } from "node:timers/promises";
import {
  OperationalReason,
  OperationalState,
  type ConnectionHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";
import type { Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { meshOf } from "./support-clients.ts";
import { storedTransitions } from "./support-health-bus.ts";
import { byLink } from "./support-transitions.ts";

const PAUSE_MS = 250;
const PATIENCE_MS = 120_000;

/** What all pods say of the links `main`, asked again and again until it is disposed of. */
export interface Sightings extends AsyncDisposable {
  /** Names of the states and reasons that `alike` was resolved for. */
  readonly states: ReadonlySet<string>;
  readonly reasons: ReadonlySet<string>;
  readonly counts: { answers: number; failures: number };
  /**
   * Resolves once every pod says this of the operator's link, in the words of `healthWords`, and the last stored transition led to this state:
   * who goes on afterwards knows that it will not be passed over in the records.
   */
  alike(operatorId: string, words: string): Promise<void>;
}

/** `DOWN: SLOT_BUSY, NO_BIND` */
export function healthWords({ state, reasons }: Pick<ConnectionHealth, "state" | "reasons">): string {
  const why = reasons.map((reason) => OperationalReason[reason]).join(", ");
  return `${OperationalState[state]}${why === "" ? "" : `: ${why}`}`;
}

export function watchSightings({ pods, postgres }: Pick<Cluster, "pods" | "postgres">): Sightings {
  const clients = pods.map((pod) => meshOf(pod, 10_000));
  const [states, reasons] = [new Set<string>(), new Set<string>()];
  const counts = { answers: 0, failures: 0 };
  const stop = new AbortController();
  let said: readonly ReadonlyMap<string, string>[] = [];
  let stored: ReadonlyMap<string, string> = new Map();

  const ask = async (client: (typeof clients)[number]): Promise<ReadonlyMap<string, string>> => {
    const { operators } = await client.getHealth({});
    return new Map(
      operators.flatMap(({ operatorId, connections: { main } }) =>
        main === undefined ? [] : [[operatorId, healthWords(main)]],
      ),
    );
  };
  const lastStored = async (): Promise<ReadonlyMap<string, string>> => {
    const links = [...byLink(await storedTransitions(postgres.primary))];
    return new Map(links.map(([id, of]) => [id, OperationalState[of.at(-1)?.transition.to ?? 0] ?? ""]));
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        [said, stored] = await Promise.all([Promise.all(clients.map(ask)), lastStored()]);
        counts.answers += said.length;
      } catch {
        counts.failures++; // whoever waits for an answer says what it waited for
      }
      await delay(PAUSE_MS);
    }
  })();

  return {
    states,
    reasons,
    counts,
    alike: async (operatorId, words) => {
      const [state = "", why = ""] = words.split(": ");
      const isSo = (): boolean =>
        said.length === pods.length &&
        said.every((each) => each.get(operatorId) === words) &&
        stored.get(operatorId) === state;
      await until(`every pod says that ${operatorId} is ${words}`, isSo, PATIENCE_MS).catch((cause: unknown) => {
        const instead = said.map((each) => each.get(operatorId) ?? "nothing").join(" | ");
        const last = stored.get(operatorId) ?? "nothing";
        throw new Error(`${operatorId} should be ${words}; pods say ${instead}; stored is ${last}`, { cause });
      });
      states.add(state);
      for (const reason of why.split(", ")) if (reason !== "") reasons.add(reason);
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
