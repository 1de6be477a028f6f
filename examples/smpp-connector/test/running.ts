import { Credentials, HealthReporter, NodeReporter, OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { onTestFinished } from "vitest";
import type { Smsc } from "../../smsc-simulator/src/smsc.ts";
import { Connector } from "../src/connector.ts";
import { connection, runSmsc, sessionsOf, until } from "./harness.ts";
import { startTraffic } from "../src/traffic.ts";
import { runMesh, type MeshService } from "./mesh.ts";

export const wrongId = "8f14e45f-ceea-467f-a8c4-0000000000bb";
export const rightId = "8f14e45f-ceea-467f-a8c4-0000000000cc";
export const two = { binds: [{ role: BindRole.TRX, count: 2 }] };

interface RunOptions {
  /** Between two health reports. */
  readonly intervalMs?: number;
  /** Whether it sends test messages. */
  readonly traffic?: boolean;
  /** Passwords by credential id. */
  readonly passwords?: Readonly<Record<string, string>>;
  /** The clock of the health reports. */
  readonly healthNow?: () => number;
}

/** A connector of this mesh service; `lines` is its story. */
async function runConnector(
  mesh: MeshService,
  { intervalMs = 10_000, traffic = false, healthNow = Date.now }: RunOptions,
) {
  const lines: string[] = [];
  const client = createMeshClient({ baseUrl: mesh.url });
  const catalog = await OperatorCatalog.start({ client });
  const reporter = NodeReporter.start({ client, node: { name: "test-node" } });
  const later = (ms: number, action: () => void) => {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  };
  const clock = { now: healthNow, later };
  const health = HealthReporter.start({ client, catalog, node: { name: "test-node" }, intervalMs, clock });
  const connector = new Connector({
    catalog,
    credentials: new Credentials({ client, catalog }),
    reporter,
    health,
    labels: { egress: "ams-1" },
    tell: (who, text) => lines.push(`${who} ${text}`),
    random: () => 0.5,
  });
  const stopTraffic = traffic
    ? startTraffic(
        () => connector.links,
        (who, text) => lines.push(`${who} ${text}`),
      )
    : () => undefined;
  const stop = async (): Promise<void> => {
    stopTraffic();
    await connector.close();
    await Promise.all([reporter.close(), health.close()]);
    await catalog.close();
  };
  onTestFinished(stop);
  return { lines, catalog, stop, connector };
}

/** A simulator, a service that serves `init` as acme-de/main, and a connector, with `count` binds up. */
export async function bound(
  count: number,
  init: Parameters<typeof connection>[0] = two,
  smsc?: Smsc,
  options: RunOptions = {},
) {
  const vendor = smsc ?? (await runSmsc({ ports: [0, 0] }));
  const [port = 0, otherPort = 0] = vendor.ports;
  const mesh = await runMesh({ [wrongId]: "s3cr3t-typo", ...options.passwords });
  const main = (more: Parameters<typeof connection>[0] = {}) =>
    connection({ endpoints: { primary: { host: "127.0.0.1", port } }, ...init, ...more });
  mesh.publish({ main: main() });
  const running = await runConnector(mesh, options);
  // The vendor knows of a bind before its client does.
  await until(() => running.lines.filter((line) => line.includes("bound to")).length === count);
  return { smsc: vendor, port, otherPort, mesh, main, ...running };
}

export const ids = (smsc: Smsc) => sessionsOf(smsc).map(({ sessionId }) => sessionId);
export const latest = (mesh: MeshService) => mesh.reports.at(-1);
export const bindsOf = (mesh: MeshService) => latest(mesh)?.connections.flatMap(({ binds }) => binds) ?? [];
export const failedLogins = (smsc: Smsc) => smsc.state().totals.bindsRefused.ESME_RINVPASWD ?? 0;
