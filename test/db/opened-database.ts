import { sql } from "drizzle-orm";
import { openClusterDatabase, type ClusterDatabaseOptions } from "../../src/db/cluster-database.ts";
import type { Database, OpenDatabase, Transaction } from "../../src/db/db.ts";
import { migrateCommand } from "../../src/migrate-command.ts";
import type { DatabaseUrls } from "../cluster/postgres.ts";
import { recordedLogger } from "./recorded-logger.ts";

/** A database as a service opens it, closed at its disposal. */
export type OpenedDatabase = OpenDatabase &
  AsyncDisposable & { /** The log's lines. */ readonly log: readonly string[] };

export function opened(options: Omit<ClusterDatabaseOptions, "logger">): OpenedDatabase {
  const { logger, lines } = recordedLogger();
  const database = openClusterDatabase({ ...options, logger });
  return { ...database, log: lines, [Symbol.asyncDispose]: () => database.close() };
}

export async function migrated(urls: Pick<DatabaseUrls, "ownerUrl">): Promise<string> {
  let output = "";
  await migrateCommand({ databaseUrl: urls.ownerUrl, print: (text) => void (output += text) });
  return output;
}

/** The rows of a statement. */
export async function rows<R>(db: Database | Transaction, statement: string): Promise<R[]> {
  const result = await db.execute(sql.raw(statement));
  return (result as { readonly rows: R[] }).rows;
}

/** What the promise was rejected with; fails when it wasn't. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("it didn't fail");
}
