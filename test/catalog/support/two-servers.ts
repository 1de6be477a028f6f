import type { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import type { Database, HeldLock, OpenDatabase, Transaction } from "../../../src/db/db.ts";
import { databaseFailure } from "../../../src/db/database-error.ts";
import { configChange, configHead, operator } from "../../../src/db/schema.ts";
import * as schema from "../../../src/db/schema.ts";

const SNAPSHOT = { isolationLevel: "repeatable read", accessMode: "read only" } as const;

/** A primary and a standby, both real, that can be away, or frozen as one that was stopped: reached as a process in a cluster would. */
export class TwoServers implements OpenDatabase {
  state: "up" | "away" | "frozen" = "up";
  standbyState: "up" | "away" = "up";
  /** How often the connections to the primary were dropped. */
  drops = 0;
  /** Where the last snapshot was read. */
  readFrom: "standby" | "primary" | undefined;
  readonly #primary: OpenDatabase;
  readonly #standby: OpenDatabase;

  constructor(primary: OpenDatabase, standby: OpenDatabase) {
    this.#primary = primary;
    this.#standby = standby;
  }

  get db(): Database {
    if (this.state === "up") return this.#primary.db;
    return this.state === "away" ? away : frozen;
  }

  get tail(): Database {
    return this.db;
  }

  get replica(): Database {
    return this.standbyState === "up" ? this.#standby.db : away;
  }

  async readSnapshot<T>(
    work: (tx: Transaction) => Promise<T>,
    fits: (tx: Transaction) => Promise<boolean>,
  ): Promise<T> {
    this.readFrom = undefined;
    try {
      const read = await this.replica.transaction(
        async (tx) => ((await fits(tx)) ? { value: await work(tx) } : undefined),
        SNAPSHOT,
      );
      if (read !== undefined) {
        this.readFrom = "standby";
        return read.value;
      }
    } catch (error) {
      if (databaseFailure(error) === undefined) throw error;
    }
    const value = await this.db.transaction(work, SNAPSHOT);
    this.readFrom = "primary";
    return value;
  }

  listen(channel: string, notify: () => void): Promise<() => Promise<void>> {
    return this.#primary.listen(channel, notify);
  }

  tryLock(name: string): Promise<HeldLock | undefined> {
    return this.#primary.tryLock(name);
  }

  dropPrimary(): void {
    this.drops++;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Brings the standby to what the primary has, or `from` another server has. */
  async replicate(from: OpenDatabase = this.#primary): Promise<void> {
    const [heads, changes, operators] = await from.db.transaction(
      async (tx) =>
        [
          await tx.select().from(configHead),
          await tx.select().from(configChange),
          await tx.select().from(operator),
        ] as const,
      SNAPSHOT,
    );
    await this.#standby.db.transaction(async (tx) => {
      for (const table of [configHead, configChange, operator]) await tx.delete(table);
      await tx.insert(configHead).values(heads);
      if (changes.length > 0) await tx.insert(configChange).values(changes);
      if (operators.length > 0) await tx.insert(operator).values(operators);
    });
  }
}

const refuse = (): Promise<never> => Promise.reject(new Error("PGlite is closed"));
const away = databaseOver(refuse);
const frozen = databaseOver(() => new Promise(() => undefined));

/** Drizzle over a driver that does with every statement what the function does. */
function databaseOver(run: () => Promise<never>): Database {
  return drizzle({ client: { query: run, transaction: run } as unknown as PGlite, schema });
}
