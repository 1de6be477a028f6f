import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { pino } from "pino";
import { parseConfig } from "../../src/config.ts";
import { safeLogging } from "../../src/rpc/redact.ts";
import { startService } from "../../src/service.ts";
import { reapedProcess } from "../cluster/reaped.ts";
import { showLogOnFailure } from "../cluster/recent-logs.ts";
import { copyPreparedPostgres } from "./prepared-postgres.ts";

/** A service under test and clients for it. They are plain Connect clients: no retries that could hide a failure. */
export interface TestService extends AsyncDisposable {
  readonly url: string;
  readonly metricsUrl: string;
  /** Empty in the cluster profile, which has none. */
  readonly dataDir: string;
  readonly adminToken: string;
  readonly admin: Client<typeof OperatorAdminService>;
  readonly mesh: Client<typeof OperatorService>;
  /** Every log line so far, as JSON text. */
  readonly logLines: readonly string[];
  /** Stops the service in good order; a folder made for it is removed with `[Symbol.asyncDispose]`. */
  close(): Promise<void>;
}

/** A service in its own process, which can be killed and started again on the same folder and ports. */
export interface SpawnedService extends TestService {
  readonly process: ChildProcess;
  /** kill -9, and the end of the process awaited. */
  kill(): Promise<void>;
}

export interface TestServiceOptions {
  /** In the logs of a failed test; `service` by default. */
  readonly name?: string;
  /** In the cluster profile, where no data folder holds one: the admin token of the tokens file that `env` names. */
  readonly adminToken?: string;
  /** A folder to use, which is then kept; a new temporary one otherwise. */
  readonly dataDir?: string;
  readonly port?: number;
  readonly metricsPort?: number;
  readonly logLevel?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The whole service within this process, on free ports. */
export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const { dataDir, removeDataDir } = await folder(options);
  const logLines: string[] = [];
  const logger = pino(
    { level: options.logLevel ?? "debug", ...safeLogging },
    { write: (line: string) => void logLines.push(line) },
  );
  const running = await startService(parseConfig(environment(options, dataDir)), { logger });
  const clients = connect(`http://127.0.0.1:${running.port}`, await adminTokenOf(dataDir));
  const close = async (): Promise<void> => {
    clients.disconnect();
    await running.close(1_000);
  };
  return {
    ...clients.of,
    metricsUrl: `http://127.0.0.1:${running.metricsPort}`,
    dataDir,
    logLines,
    close,
    [Symbol.asyncDispose]: async () => {
      await close();
      await removeDataDir();
    },
  };
}

/** The whole service as `npm start` runs it, in a process of its own, which dies with this one. */
export async function spawnService(options: TestServiceOptions = {}): Promise<SpawnedService> {
  const { dataDir, removeDataDir } =
    options.adminToken === undefined ? await folder(options) : { dataDir: "", removeDataDir: async () => {} };
  const child = spawn(process.execPath, ["--conditions=source", "src/main.ts"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { PATH: process.env.PATH, OPS_LOG_FORMAT: "json", ...environment(options, dataDir), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = child.pid === undefined ? () => {} : reapedProcess(child.pid);
  const exited = once(child, "close").then(ended);
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const logLines: string[] = [];
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const log = (): string => [...logLines, stderr].join("\n");
  const name = options.name ?? "service";
  showLogOnFailure({
    name,
    get running() {
      return isRunning();
    },
    log,
  });
  const ready = new Promise<{ port: number; metricsPort: number }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      logLines.push(line);
      if (isReadyLine(line)) resolve(JSON.parse(line) as { port: number; metricsPort: number });
    });
    void exited.then(() => reject(new Error(`${name} ended before it was ready:\n${log()}`)));
  });
  const { port, metricsPort } = await ready;
  const clients = connect(`http://127.0.0.1:${port}`, options.adminToken ?? (await adminTokenOf(dataDir)));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    clients.disconnect();
    child.kill(signal);
    await exited;
  };
  return {
    ...clients.of,
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    dataDir,
    logLines,
    process: child,
    kill: () => end("SIGKILL"),
    close: async () => {
      await end("SIGTERM");
      const left = logLines.find((line) => line.includes("something is still open"));
      if (left !== undefined) throw new Error(`${name} did not end by itself: ${left}`);
    },
    [Symbol.asyncDispose]: async () => {
      if (isRunning()) await end("SIGKILL");
      await removeDataDir();
    },
  };
}

function environment(options: TestServiceOptions, dataDir: string): Record<string, string> {
  return {
    ...(dataDir === "" ? {} : { OPS_DATA_DIR: dataDir }),
    OPS_PORT: String(options.port ?? 0),
    OPS_METRICS_PORT: String(options.metricsPort ?? 0),
    OPS_LOG_LEVEL: options.logLevel ?? "info",
  };
}

async function folder(options: TestServiceOptions): Promise<{ dataDir: string; removeDataDir: () => Promise<void> }> {
  if (options.dataDir !== undefined) return { dataDir: options.dataDir, removeDataDir: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), "operators-"));
  copyPreparedPostgres(join(dataDir, "postgres"));
  return { dataDir, removeDataDir: () => rm(dataDir, { recursive: true, force: true }) };
}

async function adminTokenOf(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, "admin-token"), "utf8")).trim();
}

function connect(url: string, adminToken: string) {
  const sessionManager = new Http2SessionManager(url);
  const admin = createClient(
    OperatorAdminService,
    createConnectTransport({
      baseUrl: `${url}/v1/admin/operators`,
      httpVersion: "1.1",
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", `Bearer ${adminToken}`);
          return next(request);
        },
      ],
    }),
  );
  const mesh = createClient(OperatorService, createGrpcTransport({ baseUrl: url, sessionManager }));
  return { of: { url, adminToken, admin, mesh }, disconnect: () => sessionManager.abort() };
}

/** A line that a kill cut short, or that isn't JSON, isn't the one. */
function isReadyLine(line: string): boolean {
  return line.startsWith("{") && line.endsWith("}") && line.includes('"ready":true');
}
