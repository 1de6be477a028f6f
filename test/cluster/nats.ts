import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "nats";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { freePort } from "../harness/free-port.ts";
import { opened } from "./opened.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { findServer } from "./servers.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { together } from "./together.ts";
import { until } from "./until.ts";

/** A NATS cluster with JetStream, ready to make streams. */
export interface Nats extends AsyncDisposable {
  readonly nodes: readonly NatsNode[];
  /** host:port of each node. */
  readonly servers: readonly string[];
  readonly user: string;
  readonly password: string;
  /** The index in `nodes` of the stream's leader, once it has one. */
  leaderOf(stream: string): Promise<number>;
}

export interface NatsNode {
  readonly server: ServerProcess;
  readonly port: number;
  readonly monitoringPort: number;
}

export interface NatsOptions {
  readonly nodes?: 1 | 3;
  /** Path of another nats-server than the installed one. */
  readonly binary?: string;
}

export function startNats(options: NatsOptions = {}): Promise<Nats> {
  return opened((closing) => start(closing, options));
}

async function start(closing: ClosingStack, options: NatsOptions): Promise<Omit<Nats, typeof Symbol.asyncDispose>> {
  const folder = await temporaryFolder("nats");
  closing.push("folder", folder.remove);
  const user = "ops";
  const password = randomBytes(16).toString("hex");
  const count = options.nodes ?? 3;
  const names = Array.from({ length: count }, (_, index) => `nats-${index}`);
  const plans = await Promise.all(
    names.map(async (name) => ({
      name,
      port: await freePort(),
      route: await freePort(),
      monitoring: await freePort(),
    })),
  );
  const nodes = await together(
    plans.map(async (plan): Promise<NatsNode> => {
      const configFile = join(folder.path, `${plan.name}.conf`);
      const routes = count === 1 ? [] : plans.map(({ route }) => route);
      const config = configuration({ ...plan, routes, user, password, store: join(folder.path, plan.name) });
      await writeFile(configFile, config, { mode: 0o600 });
      const server = await startServer({
        name: plan.name,
        command: options.binary ?? findServer("nats-server"),
        args: ["-c", configFile],
        logFile: join(folder.path, `${plan.name}.log`),
        answers: async () => (await fetch(`http://127.0.0.1:${plan.monitoring}/varz`)).ok,
      });
      closing.push(plan.name, () => server.kill());
      return { server, port: plan.port, monitoringPort: plan.monitoring };
    }),
  );
  await Promise.all(nodes.map((node) => until("JetStream has a leader", () => isHealthy(node))));

  const servers = nodes.map(({ port }) => `127.0.0.1:${port}`);
  return { nodes, servers, user, password, leaderOf: (stream) => leader(stream, names, { servers, user, password }) };
}

async function leader(
  stream: string,
  names: readonly string[],
  { servers, user, password }: { servers: string[]; user: string; password: string },
): Promise<number> {
  if (names.length === 1) return 0;
  const connection = await connect({ servers, user, pass: password, timeout: 5_000 });
  try {
    const jetstream = await connection.jetstreamManager({ checkAPI: false });
    let index = -1;
    await until(`stream ${stream} has a leader`, async () => {
      const { cluster } = await jetstream.streams.info(stream);
      index = names.indexOf(cluster?.leader ?? "");
      return index >= 0;
    });
    return index;
  } finally {
    await connection.close();
  }
}

async function isHealthy({ monitoringPort }: NatsNode): Promise<boolean> {
  const meta = await fetch(`http://127.0.0.1:${monitoringPort}/healthz`);
  return meta.ok;
}

interface NodeConfiguration {
  readonly name: string;
  readonly port: number;
  readonly monitoring: number;
  readonly route: number;
  /** Of all nodes; none for a single one. */
  readonly routes: readonly number[];
  readonly user: string;
  readonly password: string;
  readonly store: string;
}

function configuration(node: NodeConfiguration): string {
  const cluster = `
cluster {
  name: test
  listen: "127.0.0.1:${node.route}"
  # Clients stay with the addresses they were given, which may be links that a test cuts.
  no_advertise: true
  authorization {
    user: route
    password: "${node.password}"
  }
  routes: [
${node.routes.map((port) => `    "nats://route:${node.password}@127.0.0.1:${port}"`).join("\n")}
  ]
}`;
  return `
server_name: ${node.name}
listen: "127.0.0.1:${node.port}"
http: "127.0.0.1:${node.monitoring}"
jetstream {
  store_dir: "${node.store}"
  max_memory_store: 64MB
  max_file_store: 1GB
}
authorization {
  user: ${node.user}
  password: "${node.password}"
}
${node.routes.length > 0 ? cluster : ""}
`;
}
