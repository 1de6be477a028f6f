import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { freePort } from "../harness/free-port.ts";
import { opened } from "./opened.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { findServer } from "./servers.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { together } from "./together.ts";
import { until } from "./until.ts";

/** A Redis Cluster of six nodes: three masters, each with a replica. It keeps nothing on disk. */
export interface Redis extends AsyncDisposable {
  readonly nodes: readonly RedisNode[];
  /** host:port of each node. */
  readonly servers: readonly string[];
  readonly password: string;
}

export interface RedisNode {
  readonly server: ServerProcess;
  readonly port: number;
  /** Its answer to a command, as redis-cli prints it. */
  readonly ask: (...command: string[]) => Promise<string>;
}

const run = promisify(execFile);

export function startRedis(): Promise<Redis> {
  return opened(start);
}

async function start(closing: ClosingStack): Promise<Omit<Redis, typeof Symbol.asyncDispose>> {
  const folder = await temporaryFolder("redis");
  closing.push("folder", folder.remove);
  const password = randomBytes(16).toString("hex");
  const node = async (index: number): Promise<RedisNode> => {
    const name = `redis-${index}`;
    const [port, busPort] = [await freePort(), await freePort()];
    const ask = async (...command: string[]): Promise<string> => {
      const env = { PATH: process.env["PATH"], REDISCLI_AUTH: password };
      return (await run(findServer("redis-cli"), ["-p", String(port), ...command], { env })).stdout;
    };
    const dir = join(folder.path, name);
    const configFile = join(folder.path, `${name}.conf`);
    await mkdir(dir);
    await writeFile(configFile, configuration({ port, busPort, dir, password }), { mode: 0o600 });
    const server = await startServer({
      name,
      command: findServer("redis-server"),
      args: [configFile],
      logFile: join(folder.path, `${name}.log`),
      answers: async () => (await ask("PING")).includes("PONG"),
    });
    closing.push(name, () => server.kill());
    return { server, port, ask };
  };
  const nodes = await together(Array.from({ length: 6 }, (_, index) => node(index)));
  const servers = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await nodes[0]!.ask("--cluster", "create", ...servers, "--cluster-replicas", "1", "--cluster-yes");
  await together(nodes.map((each) => until("the node has joined", () => hasJoined(each))));
  return { nodes, servers, password };
}

/** A replica that never got its master's data couldn't take over from it. */
async function hasJoined(node: RedisNode): Promise<boolean> {
  const replication = await node.ask("INFO", "replication");
  const state = await node.ask("CLUSTER", "INFO");
  return state.includes("cluster_state:ok") && /connected_slaves:1|master_link_status:up/.test(replication);
}

interface NodeConfiguration {
  readonly port: number;
  readonly busPort: number;
  readonly dir: string;
  readonly password: string;
}

function configuration({ port, busPort, dir, password }: NodeConfiguration): string {
  return `
bind 127.0.0.1
port ${port}
cluster-port ${busPort}
cluster-enabled yes
cluster-node-timeout 2000
dir ${dir}
save ""
requirepass ${password}
masterauth ${password}
`;
}
