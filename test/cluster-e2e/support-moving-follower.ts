import { OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { startLinks } from "../cluster/links.ts";
import { until } from "../cluster/until.ts";
import { operatorOf, readHistory } from "./support-truth.ts";

/** A catalog of the SDK that is led from pod to pod, as behind a Kubernetes Service. */
export interface MovingFollower extends AsyncDisposable {
  /** How often it had to list again, with the reason. */
  readonly resyncs: readonly string[];
  /** Its connection ends, and every further one leads to this pod. */
  moveTo(pod: Pod): Promise<void>;
  /** Resolves when it holds what the database holds. @throws where it stays different */
  converged(): Promise<void>;
}

export async function startMovingFollower(cluster: Cluster, first: Pod): Promise<MovingFollower> {
  const links = await startLinks();
  const way = await links.to("127.0.0.1", portOf(first));
  const client = createMeshClient({ baseUrl: `http://127.0.0.1:${way.port}` });
  const catalog = await OperatorCatalog.start({ client, bookmarkIntervalMs: 2_000, ready: { timeoutMs: 30_000 } });
  const resyncs: string[] = [];
  catalog.on("resync", ({ reason }) => resyncs.push(String(reason)));
  return {
    resyncs,
    moveTo: (pod) => way.retarget(portOf(pod)),
    converged: () =>
      until(
        "the catalog that was led to another pod holds what the database holds",
        async () => {
          const { rows } = await readHistory(cluster.postgres);
          const truth = new Map(rows.map((row) => [row.operatorId, operatorOf(row)]));
          return [...truth].every(([id, operator]) => catalog.operator(id)?.displayName === operator.displayName);
        },
        60_000,
      ),
    [Symbol.asyncDispose]: async () => {
      await catalog.close();
      await links[Symbol.asyncDispose]();
    },
  };
}

function portOf({ service }: Pod): number {
  return Number(new URL(service.url).port);
}
