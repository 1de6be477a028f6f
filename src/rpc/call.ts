import { createContextKey, type ConnectError } from "@connectrpc/connect";
import type { Caller } from "./caller.ts";

/** How a request expects to be answered, errors included. */
export type Protocol = "connect" | "connect-stream" | "grpc";

/**
 * One request, from its headers to the last byte of its answer: what the log line and the metrics say about it. It is filled in
 * on the way, so that a call that is refused early is told apart just as well.
 */
export interface Call {
  readonly requestId: string;
  readonly protocol: Protocol;
  /** The peer's address as the socket knows it; headers that claim another are ignored. */
  readonly source: string;
  /** On the monotonic clock, in milliseconds. */
  readonly startTime: number;
  service: string;
  method: string;
  caller: Caller | undefined;
  /** What the caller was told; undefined while all is well. */
  error: ConnectError | undefined;
  /** True once the answer is complete; a call that ends without was given up by the caller. */
  answered: boolean;
  /** Gives back what the call holds: places in the limits. Each runs once, when the call has ended. */
  readonly releases: (() => void)[];
}

/** The call in an RPC's context values. Internal to the edge: handlers use `callerOf` and the request id. */
export const callKey = createContextKey<Call | undefined>(undefined, { description: "call" });

const SANE_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The call of a new request. `requestId` is the client's; anything but a short plain one is replaced by a new UUID. */
export function newCall(requestId: string | undefined, protocol: Protocol, source: string): Call {
  return {
    requestId: requestId !== undefined && SANE_ID.test(requestId) ? requestId : crypto.randomUUID(),
    protocol,
    source,
    startTime: performance.now(),
    service: "unknown",
    method: "unknown",
    caller: undefined,
    error: undefined,
    answered: false,
    releases: [],
  };
}
