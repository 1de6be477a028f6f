import { drizzle } from "drizzle-orm/node-postgres";
import type { Logger } from "pino";
import pg from "pg";
import { ConnectionError, StandbyError } from "./connection-error.ts";
import type { ConnectionTarget } from "./connection-target.ts";
import { driverError, sqlState } from "./database-error.ts";
import type { Database } from "./db.ts";
import { cut, guard, type GuardedClient } from "./guarded-client.ts";
import * as schema from "./schema.ts";

/** How one kind of use behaves; all times in milliseconds. */
export interface PoolUse {
  /** Shown by pg_stat_activity. */
  readonly applicationName: string;
  readonly connections: number;
  /** How long a caller waits for a connection: a free one of the pool, or a new one. */
  readonly acquireMs: number;
  /** The server's limit for one statement. */
  readonly statementMs: number;
  readonly lockMs: number;
  readonly idleInTransactionMs: number;
  /** How long the server may say nothing while it owes an answer; above statementMs or lockMs, whichever can be the reason. */
  readonly silenceMs: number;
  /** How long an unused connection is kept. */
  readonly idleMs: number;
  /** Refuse a server that is a standby. */
  readonly primary: boolean;
}

export interface ConnectionPool {
  readonly db: Database;
  /** Ends all connections now; queries on them fail. The next call connects anew. */
  drop(reason: string): void;
  close(): Promise<void>;
}

const GOODBYE_MS = 1_000;
const KEEPALIVE_MS = 10_000;

/** Connections to one server for one use. Nothing is connected before it is needed. */
export function openPool(target: ConnectionTarget, use: PoolUse, logger: Pick<Logger, "error">): ConnectionPool {
  const open = new Set<GuardedClient>();
  const pool = new pg.Pool({
    ...target.config,
    application_name: use.applicationName,
    max: use.connections,
    connectionTimeoutMillis: use.acquireMs,
    idleTimeoutMillis: use.idleMs,
    statement_timeout: use.statementMs,
    lock_timeout: use.lockMs,
    idle_in_transaction_session_timeout: use.idleInTransactionMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool waits for it, and gives out no connection that it rejects
    onConnect: async (connected) => {
      const client = connected as GuardedClient;
      open.add(client);
      client.on("end", () => open.delete(client));
      guard(client, use.silenceMs);
      if (use.primary) await refuseStandby(client);
    },
  });
  // An idle connection broke: the pool has removed it already, and the next query gets another. It also hangs the whole client
  // on the error, which others may see and log.
  pool.on("error", (error) => Reflect.deleteProperty(error, "client"));

  let faultLogged: string | undefined;
  /** Once, not for each caller. */
  const logFault = (fault: string, error: unknown): void => {
    if (fault === faultLogged) return;
    faultLogged = fault;
    logger.error({ err: error }, fault);
  };
  const acquire = async (): Promise<pg.PoolClient> => {
    try {
      return await connect(pool, target);
    } catch (cause) {
      const error = new ConnectionError(target, cause);
      if (error.fault !== undefined) logFault(error.fault, error);
      throw error;
    }
  };

  const run = async <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    const client = await acquire();
    try {
      const result = await work(client);
      faultLogged = undefined;
      return result;
    } catch (error) {
      // It was a primary once; the server behind it isn't any more.
      const state = sqlState(error);
      if (use.primary && state === "25006") cut(client, "it is a standby, not the primary");
      if (state === "42501")
        logFault("the service's role lacks a permission: `migrate` grants what it needs", driverError(error));
      throw error;
    } finally {
      // Only a connection whose transaction is known to be over goes back; the pool itself refuses broken ones.
      client.release(client.getTransactionStatus() !== "I");
    }
  };

  return {
    db: databaseOn(run),
    drop: (reason) => {
      for (const client of open) cut(client, reason);
    },
    close: async () => {
      await pool.end();
      await goodbye(open);
    },
  };
}

/** Asks the password's source once more when the server refuses what it gave: it was rotated. */
async function connect(pool: pg.Pool, { password }: ConnectionTarget): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    if (password === undefined || sqlState(error) !== "28P01") throw error;
    password.forget();
    return pool.connect();
  }
}

async function refuseStandby(client: GuardedClient): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>("select pg_is_in_recovery() as standby");
  if (rows[0]?.standby !== false) throw new StandbyError();
}

/**
 * Drizzle on connections that `run` lends. Drizzle's own handling of a pool loses a connection for good when BEGIN fails on it, and gives
 * back one whose ROLLBACK failed.
 */
function databaseOn(run: <T>(work: (client: pg.PoolClient) => Promise<T>) => Promise<T>): Database {
  const single = {
    query: (config: pg.QueryConfig, values: unknown[]) => run((client) => client.query(config, values)),
  };
  const db: Database = drizzle({ client: single as pg.Pool, schema });
  db.transaction = (work, config) => run((client) => onConnection(client).transaction(work, config));
  return db;
}

/** Kept with the connection: making one costs more than a query's other overhead. */
const databases = new WeakMap<pg.PoolClient, Database>();

function onConnection(client: pg.PoolClient): Database {
  const known = databases.get(client);
  if (known !== undefined) return known;
  const db: Database = drizzle({ client, schema });
  databases.set(client, db);
  return db;
}

/** Gives the server a moment to end the sessions in good order; one that doesn't answer must not keep this process alive. */
async function goodbye(open: ReadonlySet<GuardedClient>): Promise<void> {
  if (open.size === 0) return;
  const all = Promise.all([...open].map((client) => new Promise((resolve) => client.once("end", resolve))));
  const timer = setTimeout(() => {
    for (const client of open) client.connection.stream.destroy();
  }, GOODBYE_MS);
  await all;
  clearTimeout(timer);
}
