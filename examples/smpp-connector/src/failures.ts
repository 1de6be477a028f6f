import { bindErrorClass } from "@operator-management/client";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { BindErrorClass } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { statusName } from "./command-status.ts";
import { NoLoginError, type Login } from "./logins.ts";
import { BindFailedError } from "./bind-failed-error.ts";

/** The session was bound and is over, though nobody here wanted that. */
export class BindLostError extends Error {
  override readonly name = "BindLostError";
}

/** The vendor refused the credential. */
export class LoginRefusedError extends Error {
  override readonly name = "LoginRefusedError";
  readonly status: number;
  /** When the next try is allowed; undefined: as soon as the delays between attempts say. */
  readonly until: Date | undefined;
  /** Whether there is another credential that may be tried at once. */
  readonly otherLogin: boolean;

  constructor(status: number, { triesLeft, until, otherLogin }: ReturnType<Login["refused"]>) {
    const what = status === 0x0f ? "system_id" : "password";
    const tries = triesLeft > 0 ? `${triesLeft} ${triesLeft === 1 ? "try" : "tries"} left` : "no tries left";
    const left = otherLogin ? "there is another one" : tries;
    super(`${what} refused (${statusName(status)}), ${left}`);
    this.status = status;
    this.until = until;
    this.otherLogin = otherLogin;
  }
}

/** What follows from a failed attempt. */
export interface Failure {
  /** For people; no secret. */
  readonly text: string;
  /** command_status of the answer to the bind. */
  readonly status?: number;
  /** Whether another endpoint of the connection may do better; the account is the same everywhere. */
  readonly otherEndpoint: boolean;
  /** Whether another credential is to be tried at once: during a rotation there are two. */
  readonly otherLogin?: boolean;
  /** No attempt before; unset: `reconnect` of the connection decides. */
  readonly until?: Date;
}

/** Is it a "no" to the credential itself? */
export function isAuthRefusal(error: unknown, connection: Connection): error is BindFailedError & { status: number } {
  return error instanceof BindFailedError && classOf(error, connection) === BindErrorClass.AUTH;
}

/** Rethrows what is no failure of an attempt but a defect of this program. */
export function judgeFailure(error: unknown, connection: Connection): Failure {
  if (error instanceof LoginRefusedError || error instanceof NoLoginError) {
    return {
      text: error.message,
      otherEndpoint: false,
      ...("status" in error && { status: error.status }),
      ...(error.until && { until: error.until }),
      ...("otherLogin" in error && { otherLogin: error.otherLogin }),
    };
  }
  if (error instanceof BindLostError) return { text: error.message, otherEndpoint: false };
  if (!(error instanceof BindFailedError)) throw error;
  if (error.status === undefined) return { text: error.message, otherEndpoint: true };
  const { status } = error;
  switch (classOf(error, connection)) {
    case BindErrorClass.SLOT_BUSY:
      return { text: `the vendor has no free bind for us (${statusName(status)})`, status, otherEndpoint: false };
    case BindErrorClass.ACCOUNT:
      return { text: `the account is blocked (${statusName(status)}): ask the vendor`, status, otherEndpoint: false };
    default:
      return { text: error.message, status, otherEndpoint: true };
  }
}

function classOf({ status }: BindFailedError, connection: Connection): BindErrorClass | undefined {
  return status === undefined ? undefined : bindErrorClass(status, connection.bindErrors);
}
