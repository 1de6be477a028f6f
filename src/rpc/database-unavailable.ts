import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { databaseFailure, driverError, sqlState } from "../db/database-error.ts";
import { opsError } from "./errors.ts";

const RETRY_MS = 1_000;

/**
 * The error to throw for one that came out of a database call: DATABASE_UNAVAILABLE when the database is away, the error itself when
 * it is none of the database's, else a defect without the statement's parameters (they hold records, and would be logged).
 * `committing`: the transaction had been sent to COMMIT, so that silence leaves its outcome unknown.
 */
export function typedDatabaseError(error: unknown, { committing = false } = {}): unknown {
  const failure = databaseFailure(error);
  const state = sqlState(error);
  if (committing && (failure === "lost" || state === undefined)) return outcomeUnknown(error);
  const cause = driverError(error);
  if (failure !== undefined) {
    const text = "the database doesn't answer; nothing was changed, try again";
    return opsError(ErrorReason.DATABASE_UNAVAILABLE, text, {
      retryAfterMs: RETRY_MS,
      cause: withoutParameters(cause),
    });
  }
  return cause === error && state === undefined ? error : withoutParameters(cause);
}

function outcomeUnknown(error: unknown): Error {
  const text =
    "the database fell silent during the commit: the change may have been made; repeat it with the same request_id";
  return opsError(ErrorReason.DATABASE_UNAVAILABLE, text, {
    metadata: { outcome: "unknown" },
    retryAfterMs: RETRY_MS,
    cause: withoutParameters(driverError(error)),
  });
}

function withoutParameters(cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  const error = new Error(`database error ${sqlState(cause) ?? "without SQLSTATE"}: ${message}`);
  if (cause instanceof Error && cause.stack !== undefined) error.stack = cause.stack;
  return error;
}
