import { ConnectionError } from "./db/connection-error.ts";
import { connectionTarget, ConnectionUrlError, type PasswordSource } from "./db/connection-target.ts";
import { sqlState } from "./db/database-error.ts";
import type { Database } from "./db/db.ts";
import { ServiceRoleError } from "./db/grants.ts";
import { NewerSchemaError } from "./db/migrate.ts";
import { withOneConnection } from "./db/one-connection.ts";
import { StoreResetError } from "./history/reset-store.ts";
import { StartError } from "./start-error.ts";

/** The database, as its owner. */
export interface OwnedDatabase {
  readonly databaseUrl: string;
  /** Takes the place of the URL's. */
  readonly password?: PasswordSource | undefined;
}

/**
 * Runs a command's work on the cluster's database, on a connection of its own.
 * @throws StartError for whatever a person can mend, else the error itself
 */
export async function onDatabase(
  { databaseUrl, password }: OwnedDatabase,
  command: string,
  work: (db: Database) => Promise<void>,
): Promise<void> {
  try {
    const target = connectionTarget("OPS_POSTGRES_URL", databaseUrl, password);
    await withOneConnection(target, `operator-management ${command}`, work);
  } catch (cause) {
    const text = textFor(cause, command);
    throw text === undefined ? cause : new StartError(`${text}. Nothing was changed`, { cause });
  }
}

function textFor(error: unknown, command: string): string | undefined {
  if (error instanceof ConnectionError) return error.fault ?? error.message;
  const readable = [ConnectionUrlError, NewerSchemaError, ServiceRoleError, StoreResetError];
  if (error instanceof Error && readable.some((kind) => error instanceof kind)) return error.message;
  switch (sqlState(error)) {
    case "42501":
      return `the role in OPS_POSTGRES_URL may not do that: ${command} needs the database's owner`;
    case "42P01":
      return "the database isn't the service's, or was never migrated: run migrate first";
    case "55P03":
      return "a table is in use for too long; try again, and look for long transactions in pg_stat_activity";
    case "25006":
      return `the server in OPS_POSTGRES_URL is a standby: ${command} needs the primary`;
    default:
      return undefined;
  }
}
