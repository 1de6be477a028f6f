import { ErrorCode, NatsError } from "nats";
import { BusUnavailableError } from "./bus.ts";

/** What JetStream's API calls its errors. */
export const API_ERROR = {
  streamNotFound: 10059,
  messageNotFound: 10037,
  consumerExists: 10148,
  consumerNameExists: 10013,
} as const;

const WRONG_LAST_SEQUENCE: readonly number[] = [10071, 10164];

/** What the client refuses to send: bugs of ours. */
const REFUSED_BY_CLIENT: readonly string[] = [
  ErrorCode.MaxPayloadExceeded,
  ErrorCode.BadSubject,
  ErrorCode.BadPayload,
  ErrorCode.BadHeader,
  ErrorCode.InvalidOption,
];

/** The API's number for the error; undefined when it isn't JetStream's answer. */
export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

export function isWrongLastSequence(error: unknown): boolean {
  const code = apiErrorCode(error);
  return code !== undefined && WRONG_LAST_SEQUENCE.includes(code);
}

/** Whether JetStream has answered, and its answer will stay the same until somebody does something about it. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  if (error.isPermissionError()) return true;
  return error.api_error !== undefined && error.api_error.code < 500;
}

export function isAuthError(error: unknown): boolean {
  return error instanceof NatsError && (error.isAuthError() || error.isAuthTimeout());
}

/** The error to throw for one that came out of a call: BusUnavailableError if trying again may help, else the error itself. */
export function busError(action: string, cause: unknown): unknown {
  if (!(cause instanceof NatsError)) return cause;
  if (REFUSED_BY_CLIENT.includes(cause.code)) return cause;
  // A stream that is missing is made again; everything else that JetStream refuses is refused for good.
  const final = cause.api_error !== undefined && isRefusal(cause) && apiErrorCode(cause) !== API_ERROR.streamNotFound;
  return final ? cause : new BusUnavailableError(action, { cause });
}

/** What went wrong, for a log line; neither the client's nor the server's texts hold a password. */
export function reasonText(error: unknown): string {
  if (error instanceof NatsError && error.api_error !== undefined) return error.api_error.description;
  if (error instanceof AggregateError && error.message === "") return error.errors.map(reasonText).join(", ");
  return error instanceof Error ? error.message : String(error);
}
