import { clone, create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createContextKey, type ContextKey, type Transport } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsReason, retryAfterMs } from "./errors.ts";
import { RetryBudget } from "./retry-budget.ts";
import { fullJitter, pause, soon } from "./timers.ts";

/** How calls behave; every member has a default. */
export interface CallPolicy {
  /** Deadline of a unary call with all its retries, in milliseconds, unless the call has its own `timeoutMs`. 0 is none. Default: 10,000. */
  readonly timeoutMs?: number;
  /** Most tries of one call, the first included. Default: 4. */
  readonly maxAttempts?: number;
  /** Upper bound of the first retry's random delay, in milliseconds; it doubles with every retry, up to 5 s. Default: 100. */
  readonly retryDelayMs?: number;
}

/** Context value of a call that must not be repeated, whatever the contract says of its method. */
export const singleAttempt: ContextKey<boolean> = createContextKey(false, { description: "single attempt" });

/** Connect's own declaration names a type that only browsers' declarations have. */
type HeaderValues = ConstructorParameters<typeof Headers>[0];

const LONGEST_RETRY_DELAY_MS = 5_000;

/**
 * A transport that gives every call an `x-request-id`, and unary calls a deadline, a `request_id` where the request has that
 * field and it is empty, and retries: for methods whose `idempotency_level` allows them, with full jitter, within a budget.
 */
export function withCallPolicy(transport: Transport, policy: CallPolicy = {}): Transport {
  const { timeoutMs: defaultTimeoutMs = 10_000, maxAttempts = 4, retryDelayMs = 100 } = policy;
  const budget = new RetryBudget();
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const headers = withRequestIdHeader(header as HeaderValues);
      const message = withRequestId(method, input);
      const mayRetry = contextValues?.get(singleAttempt) !== true;
      const wholeMs = timeoutMs ?? defaultTimeoutMs;
      const end = wholeMs > 0 ? Date.now() + wholeMs : Number.POSITIVE_INFINITY;
      for (let attempt = 0; ; attempt++) {
        try {
          const left = wholeMs > 0 ? Math.max(1, end - Date.now()) : wholeMs;
          const response = await transport.unary(method, signal, left, headers, message, contextValues);
          budget.succeeded();
          return response;
        } catch (error) {
          if (signal?.aborted === true || !mayRetry || !isRetryable(method, error)) throw error;
          const allowed = budget.failed();
          const delay = Math.max(retryAfterMs(error) ?? 0, fullJitter(attempt, retryDelayMs, LONGEST_RETRY_DELAY_MS));
          if (!allowed || attempt + 1 >= maxAttempts || Date.now() + delay >= end) throw error;
          await pause(delay, signal, soon);
          if (isAborted(signal)) throw ConnectError.from(signal?.reason, Code.Canceled);
        }
      }
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      return transport.stream(
        method,
        signal,
        timeoutMs,
        withRequestIdHeader(header as HeaderValues),
        input,
        contextValues,
      );
    },
  };
}

function isRetryable(method: DescMethodUnary, error: unknown): boolean {
  if (method.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN || !(error instanceof ConnectError)) {
    return false;
  }
  const reason = opsReason(error);
  switch (error.code) {
    case Code.Unavailable:
      return true;
    case Code.ResourceExhausted:
      return reason === ErrorReason.RATE_LIMITED && retryAfterMs(error) !== undefined;
    // What proxies, and runtimes whose connection breaks, make of a server that goes away. Only reads are repeated for it:
    // there is nothing then that might have happened twice.
    case Code.Canceled:
    case Code.Aborted:
    case Code.Internal:
      return reason === undefined && requestIdField(method) === undefined;
    default:
      return false;
  }
}

function withRequestId<I extends DescMessage>(
  method: DescMethodUnary<I>,
  input: MessageInitShape<I>,
): MessageInitShape<I> {
  const field = requestIdField(method);
  if (field === undefined) return input;
  // A copy, because the message belongs to the caller, who may send it again as a call of its own.
  const message = clone(method.input, create(method.input, input));
  const fields = message as unknown as Record<string, unknown>;
  if (fields[field] === "") fields[field] = crypto.randomUUID();
  return message;
}

function requestIdField(method: DescMethodUnary): string | undefined {
  return method.input.fields.find((field) => field.name === "request_id")?.localName;
}

function withRequestIdHeader(header: HeaderValues): Headers {
  const headers = new Headers(header);
  if (!headers.has("x-request-id")) headers.set("x-request-id", crypto.randomUUID());
  return headers;
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
