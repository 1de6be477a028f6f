// Longer than 250 lines because the composition root names every part once, in the order in which they are opened.

import { readFile } from "node:fs/promises";
import type { ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { AuditQueue } from "./audit/audit-queue.ts";
import { adminReadHandlers } from "./catalog/admin-read-handlers.ts";
import { Catalog } from "./catalog/catalog.ts";
import { meshReadHandlers } from "./catalog/mesh-read-handlers.ts";
import { Tail } from "./catalog/tail.ts";
import type { Backends } from "./backends.ts";
import { ClosingStack } from "./closing-stack.ts";
import { openClusterBackends } from "./cluster/backends.ts";
import type { Config } from "./config.ts";
import { credentialHandlers } from "./credentials/handlers.ts";
import { credentialReadHandlers } from "./credentials/read-handlers.ts";
import { SecretCache } from "./credentials/secret-cache.ts";
import { RotationDriver } from "./credentials/rotation-driver.ts";
import { CredentialSweep } from "./credentials/sweep.ts";
import { SchemaError } from "./db/schema-level.ts";
import { openEmbeddedBackends } from "./embedded/backends.ts";
import { credentialsInUse, nodesBoundWith } from "./fleet/credentials-in-use.ts";
import { FleetRecorder } from "./fleet/fleet-recorder.ts";
import { Fleet } from "./fleet/fleet.ts";
import { fleetStatusHandlers, nodeReportHandlers } from "./fleet/handlers.ts";
import { startHealth } from "./health/health-part.ts";
import { History } from "./history/commit.ts";
import { revisionHandlers } from "./history/revision-handlers.ts";
import { verifyHandler } from "./history/verify-handler.ts";
import { startMetricsServer } from "./metrics-server.ts";
import { logReady } from "./ready-log.ts";
import { compileRules } from "./operators/check-operator.ts";
import { operatorHandlers } from "./operators/handlers.ts";
import { registerRelayMetrics } from "./relay/relay-metrics.ts";
import { Relay } from "./relay/relay.ts";
import { HealthState } from "./rpc/health.ts";
import { localIdentity } from "./rpc/local-identity.ts";
import { resolveRoutesHandlers } from "./routes/handlers.ts";
import { RouteTable } from "./routes/route-table.ts";
import { startServer } from "./server.ts";
import { registerServiceMetrics } from "./service-metrics.ts";
import { StartError } from "./start-error.ts";
import { Budget } from "./watch/budget.ts";
import { FrameCache } from "./watch/frame-cache.ts";
import { adminWatchHandlers, meshWatchHandlers } from "./watch/handlers.ts";
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
 * It listens as soon as it can, and is ready once the catalog is loaded; then no server behind it can make it unready.
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
    const backends = await openBackends(config, closing, logger);
    const metrics = await listening("OPS_METRICS_PORT", config.metricsPort, () =>
      startMetricsServer({ host: config.host, port: config.metricsPort }, registry, {
        started: () => state.listening,
        ready: () => state.ready,
      }),
    );
    closing.push("the metrics port", () => metrics.close());
    signal?.throwIfAborted();
    const parts = await startParts(config, backends, { registry, logger, closing });
    const server = await listening("OPS_PORT", config.port, () =>
      startServer({
        host: config.host,
        port: config.port,
        admin: parts.admin,
        mesh: parts.mesh,
        identity: localIdentity(backends.adminTokens),
        health: parts.health,
        logger,
        registry,
        reflection: config.reflection,
      }),
    );
    closing.push("the port", () => server.close(0));
    state.listening = true;
    await parts.loaded(signal);
    state.ready = true;
    parts.health.set(true);
    logReady(logger, {
      host: config.host,
      port: server.port,
      metricsPort: metrics.port,
      printToken: backends.printToken,
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

function openBackends(config: Config, closing: ClosingStack, logger: Logger): Promise<Backends> {
  switch (config.profile) {
    case "embedded":
      return openEmbeddedBackends(config, closing, logger);
    case "cluster":
      return openClusterBackends(config, closing, logger);
  }
}

/** Each streaming snapshot may hold up to its chunks in memory: eight are the bound per process. */
const SNAPSHOTS_AT_ONCE = { mesh: 6, admin: 2 };

/** Large changes on their way to watchers: of the largest operator, some thirty copies. */
const IN_FLIGHT_BYTES = 8 * 1024 * 1024;
/** A reader that takes longer over a large change no longer keeps the others waiting. */
const MAX_HOLD_MS = 5_000;

/** What the handlers are made of. */
interface Parts {
  readonly admin: Partial<ServiceImpl<typeof OperatorAdminService>>;
  readonly mesh: Partial<ServiceImpl<typeof OperatorService>>;
  readonly health: HealthState;
  readonly catalog: Catalog;
  /** Resolves when the catalog can be read. */
  loaded(signal: AbortSignal | undefined): Promise<void>;
}

/** The catalog and the features, on the backends. */
async function startParts(
  config: Config,
  { database, secrets, bus, cache, busIsShared }: Backends,
  {
    registry,
    logger,
    closing,
  }: { readonly registry: Registry; readonly logger: Logger; readonly closing: ClosingStack },
): Promise<Parts> {
  const { db } = database;
  const catalog = new Catalog();
  const tail = Tail.start({ database, catalog, logger });
  closing.push("the tail", () => tail.close());
  const wake = (): void => tail.wake();
  const onStandby = (): void => {
    database.dropPrimary();
    tail.wake();
  };
  const history = new History({ db, onCommit: wake, onStandby });
  const reading = { database, catalog, wake };
  const watchers = new Watchers(catalog);
  const watching = {
    catalog,
    watchers,
    frames: new FrameCache(),
    snapshots: new Budget(SNAPSHOTS_AT_ONCE.mesh),
    adminSnapshots: new Budget(SNAPSHOTS_AT_ONCE.admin),
    inFlight: new Budget(IN_FLIGHT_BYTES, MAX_HOLD_MS),
  };

  const now = (): Date => new Date();
  const fleet = new Fleet(now);
  const recorder = new FleetRecorder({ db, fleet, logger, now });
  closing.push("the fleet's recorder", () => recorder.close());
  const audit = new AuditQueue({ bus, db, logger });
  closing.push("the audit queue", () => audit.close());
  const inUse = (): Promise<ReadonlySet<string>> => credentialsInUse(db, fleet);
  const rotations = new RotationDriver({ catalog, history, logger, now });
  closing.push("the rotations", () => rotations.close());
  const sweep = new CredentialSweep({ db, secrets, credentialsInUse: inUse, now, logger });
  closing.push("the sweep of credentials", () => sweep.close());
  const health = startHealth({
    ...{ bus, cache, database, catalog, watchers, registry, logger, now },
    knownNodes: { has: (node) => fleet.knows(node) },
    onReport: (report) => rotations.observeBinds(report, report.binds, report.node),
  });
  closing.push("health", () => health.close());
  const table = new RouteTable(catalog);
  closing.push("the route table", () => table.close());
  const routes = resolveRoutesHandlers({ catalog, routes: table, health: health.tracker, now });
  if (busIsShared) {
    const relay = Relay.start({ database, bus, catalog, logger });
    closing.push("the relay", () => relay.close());
    registerRelayMetrics(registry, relay);
  }
  compileRules();

  registerServiceMetrics(registry, {
    catalog,
    tail,
    fleet,
    watchers,
    profile: config.profile,
    version: await ownVersion(),
  });
  return {
    admin: {
      ...operatorHandlers({ history }),
      ...adminReadHandlers(reading),
      ...adminWatchHandlers(watching),
      ...revisionHandlers(reading),
      ...verifyHandler({ db }),
      ...credentialHandlers({
        ...{ db, history, secrets, catalog, now },
        nodesBoundWith: (credentialId) => nodesBoundWith(db, fleet, credentialId, now()),
      }),
      ...fleetStatusHandlers({ fleet, recorder, catalog, now }),
      ...health.admin,
      ...routes.admin,
    },
    mesh: {
      ...meshReadHandlers({ catalog }),
      ...meshWatchHandlers(watching),
      ...credentialReadHandlers({ catalog, secrets, cache: new SecretCache(now), audit, logger, now }),
      ...nodeReportHandlers({
        ...{ fleet, recorder, catalog, logger, now },
        onBinds: (of, node) => rotations.observeBinds(of, of.binds, node),
      }),
      ...health.mesh,
      ...routes.mesh,
    },
    health: new HealthState(),
    catalog,
    loaded: async (signal) => {
      signal?.throwIfAborted();
      // A database that never answers must not keep the process from being stopped: closing the tail rejects `loaded`.
      const stop = (): void => void tail.close();
      signal?.addEventListener("abort", stop, { once: true });
      try {
        await tail.loaded;
      } catch (error) {
        throw error instanceof SchemaError ? new StartError(error.message, { cause: error }) : error;
      } finally {
        signal?.removeEventListener("abort", stop);
      }
      await Promise.all([recorder.refresh(), health.caughtUp(), table.current(signal)]);
    },
  };
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
