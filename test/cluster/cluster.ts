import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { startLinks, type Links } from "./links.ts";
import { startNats, type Nats } from "./nats.ts";
import { opened } from "./opened.ts";
import { startPod, type Pod, type PodLinks } from "./pod.ts";
import { startPostgres, type Postgres } from "./postgres.ts";
import { startRedis, type Redis } from "./redis.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { together } from "./together.ts";
import { startVault, type Vault, type VaultOptions } from "./vault.ts";

export type { Pod };

/** All of the cluster profile: real servers, a migrated database, and pods that are ready. */
export interface Cluster extends AsyncDisposable {
  readonly postgres: Postgres;
  readonly nats: Nats;
  readonly vault: Vault;
  /** Undefined unless asked for. */
  readonly redis: Redis | undefined;
  readonly pods: readonly Pod[];
  readonly adminToken: string;
  /** By role, as in the tokens file. */
  readonly tokens: Readonly<Record<(typeof ROLES)[number], string>>;
  /** Holds what the pods are given by file: `tokens.json`, `postgres-password`, `nats-password`. */
  readonly folder: string;
  /** One more pod, with links of its own; resolves when it is ready. */
  startPod(options?: ExtraPodOptions): Promise<Pod>;
}

export interface ClusterOptions {
  /** 3 by default. */
  readonly pods?: number;
  /** Whether PostgreSQL has one; yes by default. */
  readonly replica?: boolean;
  /** Nodes, which is also the replicas of each stream; 3 by default. */
  readonly nats?: 1 | 3;
  readonly vault?: VaultOptions;
  /** Whether there is a Redis Cluster, which pods reach without a link; no by default, then reports are not mirrored. */
  readonly redis?: boolean;
  /** Whether a pod reaches each server through a link; yes by default. */
  readonly links?: boolean;
  /** Where pods find the passwords of PostgreSQL and NATS; `file` by default, `vault` is below `secret/ops/service`. */
  readonly passwords?: "file" | "vault";
  /** More settings of the service, for all pods. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface ExtraPodOptions {
  readonly name?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const ROLES = ["viewer", "duty", "editor", "credential-manager", "admin"] as const;

const run = promisify(execFile);

export function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  return opened((closing) => start(closing, options));
}

async function start(
  closing: ClosingStack,
  options: ClusterOptions,
): Promise<Omit<Cluster, typeof Symbol.asyncDispose>> {
  const own = async <T extends AsyncDisposable>(name: string, opening: Promise<T>): Promise<T> => {
    const resource = await opening;
    closing.push(name, async () => resource[Symbol.asyncDispose]());
    return resource;
  };
  const folder = await temporaryFolder("cluster");
  closing.push("folder", folder.remove);
  const [postgres, nats, vault, redis, links] = await together([
    own("postgres", startPostgres({ replica: options.replica ?? true })),
    own("nats", startNats({ nodes: options.nats ?? 3 })),
    own("vault", startVault(options.vault)),
    options.redis === true ? own("redis", startRedis()) : undefined,
    (options.links ?? true) ? own("links", startLinks()) : undefined,
  ]);
  const servers: Servers = { postgres, nats, vault, redis };
  await migrate(postgres.ownerUrl);

  const tokens = Object.fromEntries(
    ROLES.map((role) => [role, randomBytes(24).toString("base64url")]),
  ) as Cluster["tokens"];
  const tokensFile = join(folder.path, "tokens.json");
  await writeFile(tokensFile, JSON.stringify(tokens), { mode: 0o600 });
  const common: Record<string, string> = {
    OPS_PROFILE: "cluster",
    OPS_MESH_IDENTITY: "local",
    OPS_LOCAL_TOKENS_FILE: tokensFile,
    OPS_NATS_USER: nats.user,
    OPS_NATS_REPLICAS: String(nats.nodes.length),
    OPS_VAULT_TOKEN_FILE: vault.tokenFile,
    ...(await passwordSettings(options.passwords ?? "file", folder.path, servers)),
    ...options.env,
  };

  const pods: Pod[] = [];
  let count = 0;
  const addPod = async (extra: ExtraPodOptions = {}): Promise<Pod> => {
    const name = extra.name ?? `pod-${count++}`;
    const podLinks = links && (await linksOfPod(links, servers));
    const pod = await startPod({
      ...{ name, links: podLinks, adminToken: tokens.admin },
      env: { ...common, ...addresses(servers, podLinks), ...extra.env },
    });
    closing.push(name, () => pod.kill());
    pods.push(pod);
    return pod;
  };
  await together(Array.from({ length: options.pods ?? 3 }, () => addPod()));
  pods.sort((a, b) => a.name.localeCompare(b.name));
  return { ...servers, pods, adminToken: tokens.admin, tokens, folder: folder.path, startPod: addPod };
}

type Servers = Pick<Cluster, "postgres" | "nats" | "vault" | "redis">;

async function migrate(ownerUrl: string): Promise<void> {
  await run(process.execPath, ["--conditions=source", "src/main.ts", "migrate"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { PATH: process.env["PATH"], OPS_PROFILE: "cluster", OPS_POSTGRES_URL: ownerUrl },
  });
}

async function passwordSettings(
  from: "file" | "vault",
  folder: string,
  { postgres, nats, vault, redis }: Servers,
): Promise<Record<string, string>> {
  if (from === "vault") {
    const put = (path: string, password: string): Promise<unknown> =>
      vault.api.call("PUT", `secret/data/${path}`, { data: { password } });
    await put("ops/service/postgres", postgres.servicePassword);
    await put("ops/service/nats", nats.password);
    if (redis !== undefined) await put("ops/service/redis", redis.password);
    return {
      OPS_POSTGRES_PASSWORD_VAULT: "ops/service/postgres",
      OPS_NATS_PASSWORD_VAULT: "ops/service/nats",
      ...(redis && { OPS_REDIS_PASSWORD_VAULT: "ops/service/redis" }),
    };
  }
  const [postgresFile, natsFile] = [join(folder, "postgres-password"), join(folder, "nats-password")];
  await writeFile(postgresFile, postgres.servicePassword, { mode: 0o600 });
  await writeFile(natsFile, nats.password, { mode: 0o600 });
  const files = { OPS_POSTGRES_PASSWORD_FILE: postgresFile, OPS_NATS_PASSWORD_FILE: natsFile };
  if (redis === undefined) return files;
  const redisFile = join(folder, "redis-password");
  await writeFile(redisFile, redis.password, { mode: 0o600 });
  return { ...files, OPS_REDIS_PASSWORD_FILE: redisFile };
}

async function linksOfPod(links: Links, { postgres, nats, vault }: Servers): Promise<PodLinks> {
  const to = (port: number) => links.to("127.0.0.1", port);
  return {
    primary: await to(postgres.primary.port),
    replica: await to((postgres.replica ?? postgres.primary).port),
    nats: await Promise.all(nats.nodes.map(({ port }) => to(port))),
    vault: await to(Number(new URL(vault.addr).port)),
  };
}

/** Where a pod reaches the servers: through its links, if it has any. */
function addresses({ postgres, nats, vault, redis }: Servers, links: PodLinks | undefined): Record<string, string> {
  const natsPorts = (links?.nats ?? nats.nodes).map(({ port }) => port);
  return {
    OPS_POSTGRES_URL: databaseUrl(links?.primary.port ?? postgres.primary.port),
    ...(postgres.replica && { OPS_POSTGRES_REPLICA_URL: databaseUrl(links?.replica.port ?? postgres.replica.port) }),
    OPS_NATS_SERVERS: natsPorts.map((port) => `127.0.0.1:${port}`).join(","),
    ...(redis && { OPS_REDIS_NODES: redis.servers.join(",") }),
    OPS_VAULT_ADDR: links ? `http://127.0.0.1:${links.vault.port}` : vault.addr,
  };
}

function databaseUrl(port: number): string {
  return `postgres://ops_service@127.0.0.1:${port}/ops`;
}
