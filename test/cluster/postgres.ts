import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { freePort } from "../harness/free-port.ts";
import { opened } from "./opened.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { findServer } from "./servers.ts";
import { unprivileged, type SystemUser } from "./system-user.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { until } from "./until.ts";

/** A primary and, unless told otherwise, a streaming replica, with the service's two roles and its database. */
export interface Postgres extends AsyncDisposable {
  readonly primary: PostgresNode;
  readonly replica: PostgresNode | undefined;
  /** For `migrate`: ops_owner, to whom database `ops` belongs. */
  readonly ownerUrl: string;
  /** For the service: ops_service, which may log in; what else it may comes from `migrate`. */
  readonly serviceUrl: string;
  /** As the service; empty without a replica. */
  readonly replicaUrl: string;
  readonly servicePassword: string;
  setServicePassword(password: string): Promise<void>;
  /** Makes the replica writable. `primary` and `replica` stay the nodes they were at first. */
  promote(): Promise<void>;
  /** A further, empty database for the same two roles, on the replica too. */
  createDatabase(name: string): Promise<DatabaseUrls>;
}

export interface PostgresNode {
  readonly server: ServerProcess;
  readonly port: number;
  readonly dataDir: string;
  /** As superuser in database `ops` (or another one), on a connection of its own. */
  query<R>(sql: string, params?: readonly unknown[], database?: string): Promise<R[]>;
}

export interface DatabaseUrls {
  readonly ownerUrl: string;
  readonly serviceUrl: string;
  readonly replicaUrl: string;
}

export interface PostgresOptions {
  /** Whether there is a replica; yes by default. */
  readonly replica?: boolean;
  /** More lines of postgresql.conf, for all nodes. */
  readonly settings?: Readonly<Record<string, string>>;
}

const run = promisify(execFile);

export function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  return opened((closing) => start(closing, options));
}

async function start(
  closing: ClosingStack,
  options: PostgresOptions,
): Promise<Omit<Postgres, typeof Symbol.asyncDispose>> {
  const user = unprivileged("postgres");
  const folder = await temporaryFolder("postgres", user);
  closing.push("folder", folder.remove);
  const [superuserPassword, ownerPassword] = [newPassword(), newPassword()];
  let servicePassword = newPassword();

  const node = async (name: "primary" | "replica", port: number): Promise<PostgresNode> => {
    const dataDir = join(folder.path, name);
    const query = async <R>(sql: string, params: readonly unknown[] = [], database = "ops"): Promise<R[]> => {
      const client = new pg.Client({
        ...{ host: "127.0.0.1", port, user: "postgres", password: superuserPassword, database },
        // For a server that is frozen: whoever waits for it looks again.
        connectionTimeoutMillis: 5_000,
      });
      client.on("error", () => {}); // A killed server also fails the query, which says so.
      await client.connect();
      try {
        return (await client.query(sql, [...params])).rows as R[];
      } finally {
        await client.end();
      }
    };
    const server = await startServer({
      name: `postgres-${name}`,
      command: findServer("postgres"),
      args: ["-D", dataDir, "-c", `port=${port}`],
      user,
      logFile: join(folder.path, `${name}.log`),
      stopSignal: "SIGINT", // Fast shutdown: doesn't wait for its clients.
      answers: async () => (await query("SELECT 1", [], "postgres")).length === 1,
    });
    closing.push(name, () => server.kill());
    return { server, port, dataDir, query };
  };

  const ports = { primary: await freePort(), replica: await freePort() };
  await initialise(join(folder.path, "primary"), folder.path, superuserPassword, options.settings ?? {}, user);
  const primary = await node("primary", ports.primary);
  // Not with parameters, as these statements take none: the passwords are hexadecimal.
  await primary.query(`CREATE ROLE ops_owner LOGIN PASSWORD '${ownerPassword}'`, [], "postgres");
  await primary.query(`CREATE ROLE ops_service LOGIN PASSWORD '${servicePassword}'`, [], "postgres");
  await primary.query("CREATE DATABASE ops OWNER ops_owner", [], "postgres");

  let replica: PostgresNode | undefined;
  if (options.replica ?? true) {
    await copy(primary, join(folder.path, "replica"), superuserPassword, user);
    replica = await node("replica", ports.replica);
    await until("the replica is streaming", async () => {
      const [row] = await primary.query<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_replication WHERE state = 'streaming'",
      );
      return row?.n === 1;
    });
  }

  const urls = (database: string): DatabaseUrls => ({
    ownerUrl: `postgres://ops_owner:${ownerPassword}@127.0.0.1:${ports.primary}/${database}`,
    serviceUrl: `postgres://ops_service:${encodeURIComponent(servicePassword)}@127.0.0.1:${ports.primary}/${database}`,
    replicaUrl: replica
      ? `postgres://ops_service:${encodeURIComponent(servicePassword)}@127.0.0.1:${ports.replica}/${database}`
      : "",
  });
  return {
    primary,
    replica,
    get ownerUrl() {
      return urls("ops").ownerUrl;
    },
    get serviceUrl() {
      return urls("ops").serviceUrl;
    },
    get replicaUrl() {
      return urls("ops").replicaUrl;
    },
    get servicePassword() {
      return servicePassword;
    },
    setServicePassword: async (password) => {
      await primary.query(`ALTER ROLE ops_service PASSWORD ${pg.escapeLiteral(password)}`);
      servicePassword = password;
    },
    promote: async () => {
      if (!replica) throw new Error("started without a replica: nothing to promote");
      const [row] = await replica.query<{ promoted: boolean }>("SELECT pg_promote() AS promoted");
      if (!row?.promoted) throw new Error("the replica was not promoted within a minute");
    },
    createDatabase: async (name) => {
      await primary.query(`CREATE DATABASE ${pg.escapeIdentifier(name)} OWNER ops_owner`);
      if (replica)
        await until(`the replica has database ${name}`, async () => !!(await replica.query("SELECT 1", [], name)));
      return urls(name);
    },
  };
}

async function initialise(
  dataDir: string,
  folder: string,
  superuserPassword: string,
  settings: Readonly<Record<string, string>>,
  user: SystemUser | undefined,
): Promise<void> {
  const passwordFile = join(folder, "superuser-password");
  await writeFile(passwordFile, superuserPassword);
  // No sync: of this folder, which nobody needs after a power cut. The server itself does sync, as in production.
  const options = ["--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"];
  await run(findServer("initdb"), ["-D", dataDir, `--pwfile=${passwordFile}`, ...options], { ...user });
  const all = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    shared_buffers: "32MB",
    max_connections: "100",
    wal_level: "replica",
    wal_log_hints: "on", // For pg_rewind.
    log_line_prefix: "%m [%p] %u@%d ",
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`);
  await appendFile(join(dataDir, "postgresql.conf"), lines.join(""));
}

/** A copy that follows the primary, through a slot, so that a long pause doesn't lose it. */
async function copy(
  primary: PostgresNode,
  dataDir: string,
  superuserPassword: string,
  user: SystemUser | undefined,
): Promise<void> {
  const from = ["-h", "127.0.0.1", "-p", String(primary.port), "-U", "postgres"];
  const options = ["-D", dataDir, "-X", "stream", "-R", "-C", "-S", "replica", "--checkpoint=fast", "--no-sync"];
  await run(findServer("pg_basebackup"), [...from, ...options], {
    env: { PATH: process.env["PATH"], LC_ALL: "C", PGPASSWORD: superuserPassword },
    ...user,
  });
}

function newPassword(): string {
  return randomBytes(16).toString("hex");
}
