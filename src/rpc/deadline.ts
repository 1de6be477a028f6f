import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { parseTimeout as parseConnect } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpc } from "@connectrpc/connect/protocol-grpc";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { unlessAborted } from "../backends/unless-aborted.ts";
import type { Protocol } from "./call.ts";
import { opsError, reasonOf } from "./errors.ts";
import type { EdgeLimits } from "./limits.ts";

/** Longest time that the single request message of a stream may take to arrive, in milliseconds. */
const STREAM_REQUEST_MS = 10_000;

/**
 * Sees to it that a unary call has a deadline: the client's, if it isn't too long, else the default. Streams have one only if the client
 * asks for it. Connect itself takes the deadline from the header, so that is where the default goes.
 * @returns within how many milliseconds the request's body must be here; undefined for streams of requests
 * @throws MALFORMED, FIELD_INVALID for a timeout header that can't be
 */
export function applyDeadline(
  request: UniversalServerRequest,
  method: DescMethod,
  protocol: Protocol,
  limits: EdgeLimits,
): number | undefined {
  const header = protocol === "grpc" ? "grpc-timeout" : "connect-timeout-ms";
  const asked = clientTimeout(request.header.get(header), header, protocol);
  if (method.methodKind !== "unary")
    return method.methodKind === "server_streaming" ? (asked ?? STREAM_REQUEST_MS) : undefined;
  const slow = limits.slowMethodTimeoutMs[`${method.parent.typeName}/${method.name}`];
  const max = slow ?? limits.maxTimeoutMs;
  if (asked !== undefined && asked > max) {
    throw opsError(
      ErrorReason.FIELD_INVALID,
      `${header}: ${asked} ms is above ${max} ms; send a shorter one, or none`,
      {
        metadata: { header, limit: String(max) },
        violations: [{ field: header, description: `${asked} ms is above ${max} ms` }],
      },
    );
  }
  const timeout = asked ?? slow ?? limits.defaultTimeoutMs;
  if (asked === undefined) request.header.set(header, protocol === "grpc" ? `${timeout}m` : String(timeout));
  return timeout;
}

function clientTimeout(value: string | null, header: string, protocol: Protocol): number | undefined {
  const parsed = (protocol === "grpc" ? parseGrpc : parseConnect)(value, Number.MAX_SAFE_INTEGER);
  if (parsed.error === undefined) return parsed.timeoutMs;
  const form = protocol === "grpc" ? "up to 8 digits and a unit, such as 5S or 500m" : "a number of milliseconds";
  throw opsError(ErrorReason.MALFORMED, `the header ${header} is not ${form}`, { metadata: { header } });
}

/**
 * Ends a call for its caller when its signal aborts (deadline, shutdown, the caller gone), even if the handler doesn't listen to it.
 * @throws DEADLINE, CANCELLED, or the abort's reason where that is an error of ours
 */
export const deadline: Interceptor = (next) => async (request) => {
  const response = await unlessAborted(next(request), request.signal, abortError);
  if (!response.stream) return response;
  return { ...response, message: endedByAbort(response.message, request.signal) };
};

async function* endedByAbort<T>(messages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const result = await unlessAborted(iterator.next(), signal, abortError);
      if (result.done === true) {
        ended = true;
        return;
      }
      yield result.value;
    }
  } finally {
    // Not awaited: a handler that hangs would hold the stream open. It has the signal to end by.
    if (!ended) iterator.return?.().then(undefined, () => undefined);
  }
}

/** The typed error for why a signal was aborted. */
export function abortError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError && reasonOf(reason) !== undefined) return reason;
  if (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded) return deadlineExceeded();
  return opsError(ErrorReason.CANCELLED, "the caller gave up the call");
}

/** DEADLINE. */
export function deadlineExceeded(): ConnectError {
  return opsError(
    ErrorReason.DEADLINE,
    "the deadline passed before the work was done; try again, with a longer one if need be",
  );
}
