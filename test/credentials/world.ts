import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorService, type ConnectionBinds } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { AuditQueue } from "../../src/audit/audit-queue.ts";
import { InProcessBus } from "../../src/backends/bus/in-process-bus.ts";
import { EmbeddedSecretStore } from "../../src/backends/secrets/embedded-secret-store.ts";
import { SecretStoreUnavailableError, type SecretStore } from "../../src/backends/secrets/secret-store.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Tail } from "../../src/catalog/tail.ts";
import { credentialHandlers } from "../../src/credentials/handlers.ts";
import { credentialReadHandlers } from "../../src/credentials/read-handlers.ts";
import { RotationDriver } from "../../src/credentials/rotation-driver.ts";
import { SecretCache } from "../../src/credentials/secret-cache.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { nodesBoundWith } from "../../src/fleet/credentials-in-use.ts";
import { FleetRecorder } from "../../src/fleet/fleet-recorder.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { nodeReportHandlers } from "../../src/fleet/handlers.ts";
import { History } from "../../src/history/commit.ts";
import { callerKey, requestIdKey, type Caller } from "../../src/rpc/caller.ts";
import { copyPreparedPostgres } from "../harness/prepared-postgres.ts";

/** The credentials' part of the service on real backends in a folder, behind real clients. */
export interface World {
  readonly dataDir: string;
  readonly database: OpenDatabase;
  readonly history: History;
  readonly secrets: SecretStore;
  readonly catalog: Catalog;
  readonly audit: AuditQueue;
  readonly admin: Client<typeof OperatorAdminService>;
  readonly mesh: Client<typeof OperatorService>;
  readonly logLines: readonly string[];
  /** Takes evidence as the node reports bring it, and ends rotations. */
  readonly rotations: RotationDriver;
  /** What is out of order: as long as it is true. */
  readonly outage: { secretStore: boolean };
  /** Moves the clock that the handlers see. */
  readonly forward: (ms: number) => void;
  readonly now: () => Date;
  close(): Promise<void>;
}

/** What stands in front of a part, to make it fail: between the handlers and the real thing. */
export interface Wrappers {
  readonly secrets?: (real: SecretStore) => SecretStore;
  readonly history?: (real: History) => Pick<History, "change">;
}

export async function newDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), "credentials-"));
  copyPreparedPostgres(join(dataDir, "postgres"));
  return dataDir;
}

export async function removeDataDir(dataDir: string): Promise<void> {
  await rm(dataDir, { recursive: true });
}

export async function openWorld(dataDir: string, wrappers: Wrappers = {}): Promise<World> {
  const database = await openEmbeddedDatabase(join(dataDir, "postgres"));
  const secrets = await EmbeddedSecretStore.open(dataDir);
  const catalog = new Catalog();
  const logLines: string[] = [];
  const log = (...parts: unknown[]): void =>
    void logLines.push(parts.map((part) => JSON.stringify(part, withErrors)).join(" "));
  const logger = { info: log, warn: log, error: log };
  const tail = Tail.start({ database, catalog, logger });
  await tail.loaded;
  const history = new History({ db: database.db, onCommit: () => tail.wake() });
  const secretsInUse = wrappers.secrets?.(secrets) ?? secrets;
  const outage = { secretStore: false };
  const refuse = (action: string, path: string): void => {
    if (outage.secretStore) throw new SecretStoreUnavailableError(action, path);
  };
  const reached = withMethods(secretsInUse, {
    put: async (path, ...rest) => (refuse("write", path), secretsInUse.put(path, ...rest)),
    get: async (path, ...rest) => (refuse("read", path), secretsInUse.get(path, ...rest)),
  });
  let ahead = 0;
  const now = (): Date => new Date(Date.now() + ahead);
  const bus = new InProcessBus();
  const audit = new AuditQueue({ bus, db: database.db, logger, intervalMs: 20 });
  const fleet = new Fleet(now);
  const recorder = new FleetRecorder({ db: database.db, fleet, logger, now, intervalMs: 5 });
  const rotations = new RotationDriver({ catalog, history, logger, now, tickMs: 20 });
  const deps = {
    db: database.db,
    history: wrappers.history?.(history) ?? history,
    secrets: reached,
    catalog,
    cache: new SecretCache(now),
    audit,
    logger,
    now,
    nodesBoundWith: (credentialId: string) => nodesBoundWith(database.db, fleet, credentialId, now()),
    fleet,
    recorder,
    onBinds: (of: ConnectionBinds, node: string) => rotations.observeBinds(of, of.binds, node),
  };
  const transport = (caller: Caller) =>
    createRouterTransport(
      ({ service }) => {
        service(OperatorAdminService, credentialHandlers(deps));
        service(OperatorService, { ...credentialReadHandlers(deps), ...nodeReportHandlers(deps) });
      },
      {
        router: {
          interceptors: [
            (next) => (request) => {
              request.contextValues.set(callerKey, caller);
              request.contextValues.set(requestIdKey, "req-1");
              return next(request);
            },
          ],
        },
      },
    );
  return {
    dataDir,
    database,
    history,
    secrets,
    catalog,
    audit,
    admin: createClient(OperatorAdminService, transport(ann)),
    mesh: createClient(OperatorService, transport(connector)),
    logLines,
    rotations,
    outage,
    forward: (ms) => (ahead += ms),
    now,
    close: async () => {
      await rotations.close();
      await recorder.close();
      await audit.close();
      await tail.close();
      await secrets.close();
      await database.close();
    },
  };
}

export const ann: Caller = {
  actor: create(ActorSchema, { principal: "ann", kind: Actor_Kind.ADMIN, source: "127.0.0.1" }),
  roles: new Set([Role.ADMIN]),
  namespaces: new Set(),
};

export const connector: Caller = {
  actor: create(ActorSchema, {
    principal: "spiffe://test/smpp-connector",
    kind: Actor_Kind.WORKLOAD,
    source: "10.0.0.7",
  }),
  roles: new Set(),
  namespaces: new Set(["smpp-connector"]),
};

/** The store with some of its methods replaced. */
export function withMethods(real: SecretStore, replaced: Partial<SecretStore>): SecretStore {
  return {
    put: (...args) => real.put(...args),
    get: (...args) => real.get(...args),
    delete: (...args) => real.delete(...args),
    undelete: (...args) => real.undelete(...args),
    destroy: (...args) => real.destroy(...args),
    close: () => real.close(),
    ...replaced,
  };
}

function withErrors(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Error ? { message: value.message, stack: value.stack, cause: value.cause } : value;
}
