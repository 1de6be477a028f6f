// npm run cluster: the whole cluster profile on this machine, for looking around.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startCluster, type Cluster } from "./cluster.ts";
import { startRedis, type Redis } from "./redis.ts";

const USAGE = `Starts the whole cluster profile on free ports of 127.0.0.1 and keeps it running until Ctrl-C: PostgreSQL with a replica, three NATS
nodes, six Redis nodes, a Vault, and the service's pods. Nothing of it stays.

Usage: npm run cluster
       npm run cluster -- --pods 1    that many pods instead of 3
       npm run cluster -- --no-redis  without Redis, which the service doesn't use yet
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
      pods: { type: "string", default: "3" },
      redis: { type: "boolean", default: true },
    },
    allowNegative: true,
  });
  if (values.help) return void process.stdout.write(USAGE);
  if (!/^[1-9]$/.test(values.pods)) throw new Error(`--pods ${values.pods}: 1 to 9`);

  const stopped = new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  // Before all is up there is nothing to stop in good order; whatever runs dies with this process.
  const giveUp = (): void => process.exit(130);
  process.once("SIGINT", giveUp).once("SIGTERM", giveUp);
  console.log("Starting; it takes some seconds.");
  const cluster = await startCluster({ pods: Number(values.pods), links: false });
  const redis = values.redis ? await startRedis() : undefined;
  process.off("SIGINT", giveUp).off("SIGTERM", giveUp);

  console.log(await overview(cluster, redis));
  await stopped;
  console.log("\nStopping.");
  await Promise.all([cluster[Symbol.asyncDispose](), redis?.[Symbol.asyncDispose]()]);
}

async function overview(cluster: Cluster, redis: Redis | undefined): Promise<string> {
  const { postgres, nats, vault, pods, folder } = cluster;
  const file = async (name: string, secret: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, secret, { mode: 0o600 });
    return path;
  };
  const adminToken = await file("admin-token", cluster.adminToken);
  const servicePassword = join(folder, "postgres-password");
  const owner = new URL(postgres.ownerUrl);
  const ownerPassword = await file("postgres-owner-password", owner.password);
  const rootToken = await file("vault-root-token", vault.rootToken);
  const natsPassword = join(folder, "nats-password");
  const redisPassword = redis && (await file("redis-password", redis.password));

  const rows = [
    ["what", "pid", "where", "user", "secret in"],
    ...pods.map(({ name, service }) => [name, service.process.pid, service.url, "local-admin", adminToken]),
    ...pods.map(({ name, service }) => [`${name} metrics`, "", service.metricsUrl, "", ""]),
    ["postgres primary", postgres.primary.server.pid, at(postgres.primary.port), "ops_service", servicePassword],
    ["", "", "", "ops_owner", ownerPassword],
    ["postgres replica", postgres.replica?.server.pid, at(postgres.replica?.port), "the same", ""],
    ...nats.nodes.map(({ server, port }) => [server.name, server.pid, at(port), nats.user, natsPassword]),
    ["vault", vault.server.pid, vault.addr, "root", rootToken],
    ["", "", "", "the service", vault.tokenFile],
    ...(redis?.nodes ?? []).map(({ server, port }) => [server.name, server.pid, at(port), "default", redisPassword]),
  ];
  const url = pods[0]?.service.url ?? "";
  const admin = `-H "Authorization: Bearer $(cat ${adminToken})"`;
  const method = `${url}/v1/admin/operators/ops.v1.OperatorAdminService`;
  return `
${table(rows)}

To paste into another terminal:

# add an operator at the first pod, and find it at the last
curl -sS ${admin} -H "Content-Type: application/json" ${method}/CreateOperator \\
  -d '{"operatorId": "acme-de", "operator": {"displayName": "Acme Germany", "countries": ["DE"]}}'
curl -sS ${admin} ${pods.at(-1)?.service.url ?? ""}/v1/admin/operators

# look into the database, the bus and, once a credential was set, the vault
PGPASSWORD=$(cat ${servicePassword}) psql -h 127.0.0.1 -p ${postgres.primary.port} -U ops_service ops -c 'SELECT revision FROM config_head'
curl -sS ${monitoring(nats)}/jsz
curl -sS -H "X-Vault-Token: $(cat ${rootToken})" -X LIST ${vault.addr}/v1/secret/metadata/ops

# hurt something, and see who notices: a pod, the leader of the database
kill -9 ${pods[0]?.service.process.pid ?? ""}
kill -9 ${postgres.primary.server.pid}

Ctrl-C stops everything and removes ${folder}.`;
}

function at(port: number | undefined): string {
  return `127.0.0.1:${port}`;
}

function monitoring({ nodes: [node] }: Cluster["nats"]): string {
  return `http://127.0.0.1:${node?.monitoringPort}`;
}

function table(rows: readonly (readonly (string | number | undefined)[])[]): string {
  const texts = rows.map((row) => row.map((cell) => String(cell ?? "")));
  const widths = (texts[0] ?? []).map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  return texts
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
