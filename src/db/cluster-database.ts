import type { Logger } from "pino";
import { connectionTarget, type PasswordSource } from "./connection-target.ts";
import { openPool, type PoolUse } from "./connection-pool.ts";
import { databaseFailure, driverError } from "./database-error.ts";
import type { OpenDatabase, Transaction } from "./db.ts";
import { DedicatedConnection } from "./dedicated-connection.ts";

/** Every session's name in pg_stat_activity begins with this. */
export const APPLICATION_NAME = "operator-management";

/**
 * Ten connections per process: 5 + 1 + 1 + 3. A frozen process must not stop all writers: whoever holds a lock and says nothing is cut off after
 * 5 s, whoever waits for it gives up after 2 s.
 */
const WRITE: PoolUse = {
  applicationName: `${APPLICATION_NAME} write`,
  connections: 5,
  acquireMs: 3_000,
  statementMs: 5_000,
  lockMs: 2_000,
  idleInTransactionMs: 5_000,
  silenceMs: 6_000,
  idleMs: 60_000,
  primary: true,
};

/**
 * A cold load reads up to 16 MiB in one statement, which the server counts until the last byte is taken: over a thin line more than 5 s.
 * That the server keeps answering is what silence checks, and more strictly: the tail's statements begin to answer at once.
 */
const TAIL: PoolUse = {
  ...WRITE,
  applicationName: `${APPLICATION_NAME} tail`,
  connections: 1,
  statementMs: 30_000,
  silenceMs: 3_000,
};

/** To the primary, when the replica is away or too far behind. */
const READ: PoolUse = {
  ...WRITE,
  applicationName: `${APPLICATION_NAME} read`,
  connections: 3,
  idleMs: 10_000,
};

/** Somebody waits, and the primary can answer as well: a replica that doesn't answer at once isn't waited for. */
const REPLICA: PoolUse = {
  ...READ,
  applicationName: `${APPLICATION_NAME} replica`,
  acquireMs: 1_000,
  silenceMs: 1_500,
  idleMs: 60_000,
  primary: false,
};

/** How long reads leave a replica alone that didn't answer, in milliseconds. */
const REPLICA_PAUSE_MS = 2_000;

const SNAPSHOT = { isolationLevel: "repeatable read", accessMode: "read only" } as const;

export interface ClusterDatabaseOptions {
  /** postgres://…, with TLS parameters as pg reads them. */
  readonly primary: string;
  readonly replica?: string | undefined;
  /** Takes the place of the URLs' passwords, for both servers. */
  readonly password?: PasswordSource | undefined;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
}

/**
 * PostgreSQL over the network: a primary and perhaps a standby. Connects when it is first needed, and again after every loss; it
 * never migrates. Calls fail with a ConnectionError, or with the driver's errors (database-error.ts), in seconds, whatever the server does.
 * @throws ConnectionUrlError
 */
export function openClusterDatabase({ primary, replica, password, logger }: ClusterDatabaseOptions): OpenDatabase {
  const target = connectionTarget("OPS_POSTGRES_URL", primary, password);
  const replicaTarget =
    replica === undefined ? undefined : connectionTarget("OPS_POSTGRES_REPLICA_URL", replica, password);
  const write = openPool(target, WRITE, logger);
  const tail = openPool(target, TAIL, logger);
  const read = openPool(target, READ, logger);
  const standby = replicaTarget && openPool(replicaTarget, REPLICA, logger);
  const dedicated = new DedicatedConnection(target, `${APPLICATION_NAME} notifications and locks`, logger);
  let standbyRestsUntil = 0;

  const readStandby = async <T>(
    work: (tx: Transaction) => Promise<T>,
    fits: (tx: Transaction) => Promise<boolean>,
  ): Promise<{ readonly value: T } | undefined> => {
    if (standby === undefined || performance.now() < standbyRestsUntil) return undefined;
    const restedBefore = standbyRestsUntil > 0;
    // After a rest one caller tries it; the others don't wait with it.
    if (restedBefore) standbyRestsUntil = performance.now() + REPLICA_PAUSE_MS;
    try {
      const result = await standby.db.transaction(
        async (tx) => ((await fits(tx)) ? { value: await work(tx) } : undefined),
        SNAPSHOT,
      );
      if (standbyRestsUntil > 0) logger.info({}, "the replica answers again");
      standbyRestsUntil = 0;
      return result;
    } catch (error) {
      if (databaseFailure(error) === undefined) throw error;
      if (!restedBefore)
        logger.warn({ err: driverError(error) }, "the replica doesn't answer: reading from the primary");
      standbyRestsUntil = performance.now() + REPLICA_PAUSE_MS;
      return undefined;
    }
  };

  return {
    db: write.db,
    tail: tail.db,
    replica: standby?.db,
    readSnapshot: async (work, fits) => {
      const result = await readStandby(work, fits);
      return result === undefined ? read.db.transaction(work, SNAPSHOT) : result.value;
    },
    listen: (channel, notify) => dedicated.listen(channel, notify),
    tryLock: (name) => dedicated.tryLock(name),
    dropPrimary: () => {
      for (const part of [write, tail, read, dedicated]) part.drop("dropped: the primary has moved");
    },
    close: async () => {
      await Promise.all([write, tail, read, dedicated].map((part) => part.close()));
      await standby?.close();
    },
  };
}
