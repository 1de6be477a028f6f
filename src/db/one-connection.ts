import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { ConnectionError } from "./connection-error.ts";
import type { ConnectionTarget } from "./connection-target.ts";
import type { Database } from "./db.ts";
import * as schema from "./schema.ts";

const CONNECT_MS = 10_000;

/**
 * Runs a command's work on a connection of its own, without the limits that a service's sessions have: a migration may take its time.
 * @throws ConnectionError
 */
export async function withOneConnection<T>(
  target: ConnectionTarget,
  applicationName: string,
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...target.config,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  client.on("error", () => undefined); // the statement under way fails with it
  try {
    await client.connect();
  } catch (cause) {
    throw new ConnectionError(target, cause);
  }
  try {
    return await work(drizzle({ client, schema }));
  } finally {
    await client.end();
  }
}
