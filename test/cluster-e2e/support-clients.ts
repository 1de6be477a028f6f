import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import type { AdminClient } from "../history-checker/writers.ts";

/**
 * How long a client waits for one answer, in milliseconds: less than a frozen pod stays frozen, so that callers turn to another pod with
 * the same request id while the first one may still do what it was asked.
 */
const DEADLINE_MS = 3_000;

/** A plain admin client of one pod, which gives up on a pod that doesn't answer. It outlives the pod's process, whose port stays. */
export function adminOf(pod: Pod, { adminToken }: Pick<Cluster, "adminToken">, timeoutMs = DEADLINE_MS): AdminClient {
  return createClient(
    OperatorAdminService,
    createConnectTransport({
      baseUrl: `${pod.service.url}/v1/admin/operators`,
      httpVersion: "1.1",
      defaultTimeoutMs: timeoutMs,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${adminToken}`);
          return next(request);
        },
      ],
    }),
  );
}

/** As above, for the mesh. */
export function meshOf(pod: Pod, timeoutMs = DEADLINE_MS): Client<typeof OperatorService> {
  return createClient(OperatorService, createGrpcTransport({ baseUrl: pod.service.url, defaultTimeoutMs: timeoutMs }));
}

/** The value of a pod's metric that has no labels, or with exactly these. */
export async function metricOf(pod: Pod, name: string): Promise<number> {
  const text = await (await fetch(`${pod.service.metricsUrl}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  if (line === undefined) throw new Error(`${pod.name} has no metric ${name}`);
  return Number(line.slice(name.length + 1));
}
