import { readFile } from "node:fs/promises";
import type { ServiceImpl } from "@connectrpc/connect";
import { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { AuditQueue } from "./audit/audit-queue.ts";
import { adminReadHandlers } from "./catalog/admin-read-handlers.ts";
import { Catalog } from "./catalog/catalog.ts";
import { readAt } from "./catalog/consistency.ts";
import { meshReadHandlers } from "./catalog/mesh-read-handlers.ts";
import { Tail } from "./catalog/tail.ts";
import { ClosingStack } from "./closing-stack.ts";
import type { Config } from "./config.ts";
import { credentialHandlers } from "./credentials/handlers.ts";
import { credentialReadHandlers } from "./credentials/read-handlers.ts";
import { SecretCache } from "./credentials/secret-cache.ts";
import { CredentialSweep } from "./credentials/sweep.ts";
import { openDatabase, openSecrets } from "./embedded/backends.ts";
import { openDataFolder, type DataFolder } from "./embedded/data-folder.ts";
import { readLocalTokens } from "./embedded/local-tokens.ts";
import { FleetRecorder } from "./fleet/fleet-recorder.ts";
import { Fleet } from "./fleet/fleet.ts";
import { fleetStatusHandlers, nodeReportHandlers } from "./fleet/handlers.ts";
import { History } from "./history/commit.ts";
import { revisionHandlers } from "./history/revision-handlers.ts";
import { verifyHandler } from "./history/verify-handler.ts";
import { startMetricsServer } from "./metrics-server.ts";
import { logReady } from "./ready-log.ts";
import { compileRules } from "./operators/check-operator.ts";
import { operatorHandlers } from "./operators/handlers.ts";
import { HealthState } from "./rpc/health.ts";
import { localIdentity } from "./rpc/local-identity.ts";
import { startServer, type RunningServer } from "./server.ts";
import { registerServiceMetrics } from "./service-metrics.ts";
import { StartError } from "./start-error.ts";
import { FrameCache } from "./watch/frame-cache.ts";
import { adminWatchHandlers, meshWatchHandlers } from "./watch/handlers.ts";
import { SnapshotSlots } from "./watch/snapshot-slots.ts";
import { Watchers } from "./watch/watchers.ts";

/** The whole service, listening and ready. */
export interface RunningService {
  readonly port: number;
  readonly metricsPort: number;
  /** Refuses new calls, lets those in flight finish for at most this long, then closes everything, last opened first. Calling it again waits for the same end. */
  close(graceMs: number): Promise<void>;
}

/**
 * The composition root: opens every part in order and hands each what it needs. What was opened is closed again when a later part fails.
 * @throws StartError with what to do about it; the signal's reason when it is aborted before the service is ready
 */
export async function startService(
  config: Config,
  { logger, signal }: { readonly logger: Logger; readonly signal?: AbortSignal },
): Promise<RunningService> {
  const started = performance.now();
  const closing = new ClosingStack();
  try {
    const state = { listening: false, ready: false };
    const registry = new Registry();
    const folder = await openDataFolder(config.dataDir);
    closing.push("the data folder", () => folder.close());
    const metrics = await listening("OPS_METRICS_PORT", config.metricsPort, () =>
      startMetricsServer({ host: config.host, port: config.metricsPort }, registry, {
        started: () => state.listening,
        ready: () => state.ready,
      }),
    );
    closing.push("the metrics port", () => metrics.close());
    const parts = await startParts(folder, registry, logger, closing, signal);
    signal?.throwIfAborted();
    const server = await serve(config, folder, parts, { registry, logger });
    closing.push("the port", () => server.close(0));
    state.listening = true;
    state.ready = true;
    parts.health.set(true);
    logReady(logger, {
      host: config.host,
      port: server.port,
      metricsPort: metrics.port,
      adminTokenFile: folder.adminTokenFile,
      operators: parts.catalog.size,
      fingerprint: parts.catalog.position.fingerprint,
      ms: Math.round(performance.now() - started),
    });
    let ended: Promise<void> | undefined;
    const end = async (graceMs: number): Promise<void> => {
      state.ready = false;
      await server.close(graceMs);
      await closing.close();
    };
    return { port: server.port, metricsPort: metrics.port, close: (graceMs) => (ended ??= end(graceMs)) };
  } catch (error) {
    await closing.close();
    throw error;
  }
}

/** Each streaming snapshot may hold up to its chunks in memory: eight are the bound per process. */
const SNAPSHOTS_AT_ONCE = 8;

/** What the handlers are made of. */
interface Parts {
  readonly admin: Partial<ServiceImpl<typeof OperatorAdminService>>;
  readonly mesh: Partial<ServiceImpl<typeof OperatorService>>;
  readonly health: HealthState;
  readonly catalog: Catalog;
}

/** Database, secrets, catalog and the features on them; ready to be served. */
async function startParts(
  folder: DataFolder,
  registry: Registry,
  logger: Logger,
  closing: ClosingStack,
  signal: AbortSignal | undefined,
): Promise<Parts> {
  const database = await openDatabase(folder, logger);
  closing.push("the database", () => database.close());
  const { db } = database;
  const secrets = await openSecrets(folder);
  closing.push("the secret store", () => secrets.close());

  const catalog = new Catalog();
  const tail = Tail.start({ database, catalog, logger });
  closing.push("the tail", () => tail.close());
  const history = new History({ db, onCommit: () => tail.wake() });
  const watchers = new Watchers(catalog);
  const watching = { catalog, watchers, frames: new FrameCache(), snapshots: new SnapshotSlots(SNAPSHOTS_AT_ONCE) };

  const now = (): Date => new Date();
  const fleet = new Fleet(now);
  const recorder = new FleetRecorder({ db, fleet, logger });
  closing.push("the fleet's recorder", () => recorder.close());
  const audit = new AuditQueue({ db, logger });
  closing.push("the audit queue", () => audit.close());
  const credentialsInUse = (): ReadonlySet<string> => fleet.credentialsInUse();
  const sweep = new CredentialSweep({ db, secrets, credentialsInUse, now, logger });
  closing.push("the sweep of credentials", () => sweep.close());
  await recorder.restore(now());
  compileRules();
  // A database that never answers must not keep the process from being stopped: closing the tail rejects `loaded`.
  const stop = (): void => void tail.close();
  signal?.addEventListener("abort", stop, { once: true });
  await tail.loaded.finally(() => signal?.removeEventListener("abort", stop));

  registerServiceMetrics(registry, {
    catalog,
    tail,
    fleet,
    watchers,
    profile: "embedded",
    version: await ownVersion(),
  });
  return {
    admin: {
      ...operatorHandlers({ history }),
      ...adminReadHandlers({ catalog, db }),
      ...adminWatchHandlers(watching),
      ...revisionHandlers({
        db,
        readAt: (consistency, signal) => readAt(catalog, consistency, "fully_consistent", signal),
      }),
      ...verifyHandler({ db }),
      ...credentialHandlers({ db, history, secrets, catalog, now }),
      ...fleetStatusHandlers({ fleet, catalog, now }),
    },
    mesh: {
      ...meshReadHandlers({ catalog }),
      ...meshWatchHandlers(watching),
      ...credentialReadHandlers({ catalog, secrets, cache: new SecretCache(now), audit, logger, now }),
      ...nodeReportHandlers({ fleet, recorder, catalog, logger, now }),
    },
    health: new HealthState(),
    catalog,
  };
}

async function serve(
  config: Config,
  folder: DataFolder,
  { admin, mesh, health }: Parts,
  { registry, logger }: { readonly registry: Registry; readonly logger: Logger },
): Promise<RunningServer> {
  const adminToken = { principal: "local-admin", role: Role.ADMIN, token: folder.adminToken };
  const more = config.localTokensFile === undefined ? [] : await readLocalTokens(config.localTokensFile);
  return listening("OPS_PORT", config.port, () =>
    startServer({
      host: config.host,
      port: config.port,
      admin,
      mesh,
      identity: localIdentity([adminToken, ...more]),
      health,
      logger,
      registry,
      reflection: config.reflection,
    }),
  );
}

/** Says which setting is at fault when a port can't be had. */
async function listening<T>(setting: string, port: number, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new StartError(`port ${port} is taken. Stop what uses it, or choose another with ${setting}`, {
        cause: error,
      });
    }
    if (code === "EACCES")
      throw new StartError(`port ${port} is not allowed. Choose one from 1024 with ${setting}`, { cause: error });
    throw error;
  }
}

async function ownVersion(): Promise<string> {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(await readFile(file, "utf8")) as { version: string }).version;
}
