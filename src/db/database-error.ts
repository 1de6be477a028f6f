import { DrizzleQueryError } from "drizzle-orm";
import { ConnectionError } from "./connection-error.ts";
import { CutError } from "./guarded-client.ts";

/** Why the database couldn't do what it was asked: it said so and did nothing, or it fell silent and nobody knows. */
export type DatabaseFailure = "refused" | "lost";

/** SQLSTATEs (or whole classes of them) of a server that is well, or will be, but not now; the statement had no effect. */
const REFUSED = [
  "25006", // read_only_sql_transaction: a former primary
  "25P03", // idle_in_transaction_session_timeout
  "28", // invalid_authorization: a person must mend it, the log says what
  "3D000", // invalid_catalog_name: there is no such database
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "42501", // insufficient_privilege: the service role lacks a grant that `migrate` gives
  "53", // insufficient_resources: disk, memory, connections
  "55P03", // lock_not_available: lock_timeout
  "57014", // query_canceled: statement_timeout
  "57P03", // cannot_connect_now: starting up, or in recovery
  "58", // system_error: I/O
];

/** SQLSTATEs of a connection that ended. */
const LOST = ["08", "57P01", "57P02", "57P05"];

const SOCKET = /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/;

/** What the drivers say without a code. */
const CLOSED = new RegExp(
  [
    "^PGlite is clos",
    "^Connection terminated",
    "^Client has encountered a connection error",
    "^Client was closed",
    "^Cannot use a pool after calling end",
    "^Query read timeout",
    "timeout exceeded when trying to connect",
    "^timeout expired",
  ].join("|"),
);

/** Whether the error means that the database is unavailable; undefined for any other error, also for a broken query. */
export function databaseFailure(error: unknown): DatabaseFailure | undefined {
  const cause = driverError(error);
  if (cause instanceof ConnectionError) return "refused";
  if (cause instanceof CutError) return "lost";
  const code = sqlState(error);
  if (code !== undefined) {
    if (LOST.some((prefix) => code.startsWith(prefix))) return "lost";
    return REFUSED.some((prefix) => code.startsWith(prefix)) ? "refused" : undefined;
  }
  if (!(cause instanceof Error)) return undefined;
  const errno = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  return SOCKET.test(errno) || CLOSED.test(cause.message) ? "lost" : undefined;
}

/** The five characters by which PostgreSQL classifies an error; undefined when the error isn't the server's. */
export function sqlState(error: unknown): string | undefined {
  const cause = driverError(error);
  if (!(cause instanceof Error) || !("code" in cause) || typeof cause.code !== "string") return undefined;
  return /^[0-9A-Z]{5}$/.test(cause.code) && !SOCKET.test(cause.code) ? cause.code : undefined;
}

/** The driver's own error: Drizzle wraps it in one whose text holds the statement's parameters, whole operators among them. */
export function driverError(error: unknown): unknown {
  return error instanceof DrizzleQueryError && error.cause !== undefined ? error.cause : error;
}

/** Whether the database found fault with the values (SQLSTATE classes 22 and 23), which trying again never changes. */
export function isAboutValues(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? "");
}
