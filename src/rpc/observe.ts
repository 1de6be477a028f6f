import { Code, ConnectError, type Interceptor, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Logger } from "pino";
import { callKey, type Call } from "./call.ts";
import { requestIdKey } from "./caller.ts";
import { bug, reasonName, reasonOf } from "./errors.ts";
import { faultOfClient } from "./protocol-errors.ts";
import { abortError } from "./deadline.ts";
import { loggable, setPaths } from "./redact.ts";

/** Counts and logs calls: one line and one observation each, when it has ended. */
export interface Observer {
  started(call: Call): void;
  /** Tells the log and the metrics how a call went. */
  ended(call: Call): void;
  /** The outermost interceptor: turns whatever a handler throws into a typed error, and remembers it for the log. */
  readonly interceptor: Interceptor;
  /** The innermost interceptor: logs which fields a valid request sets, at `debug`. */
  readonly requestLog: Interceptor;
}

/** Probes come every few seconds from everywhere; at `info` they would drown the rest. */
const QUIET_SERVICES = new Set(["grpc.health.v1.Health"]);
/** Every node calls these every few seconds; at `info` they would bury what people do. */
const QUIET_METHODS = new Set(["ReportNodeStatus"]);

/** The observer that writes to this log and this registry. */
export function createObserver(logger: Logger, registry: Registry): Observer {
  const metrics = createMetrics(registry);
  return {
    started: () => metrics.open.inc(),
    ended(call) {
      if (!call.answered && call.error === undefined) call.error = abortError(undefined);
      const { service, method } = call;
      const seconds = (performance.now() - call.startTime) / 1_000;
      metrics.open.dec();
      metrics.calls.inc({ service, method, code: codeOf(call.error) });
      metrics.seconds.observe({ service, method }, seconds);
      writeLine(logger, call, seconds);
    },
    interceptor: (next) => async (request) => {
      const call = request.contextValues.get(callKey);
      const typed = (error: unknown): ConnectError => {
        const fault =
          error instanceof ConnectError && call !== undefined
            ? faultOfClient(error, call.protocol, request.method)
            : undefined;
        const result = fault ?? asTyped(error);
        if (call !== undefined) call.error = result;
        return result;
      };
      try {
        const response = await next(request);
        setTokenHeader(response);
        return response.stream ? { ...response, message: typedStream(response.message, typed) } : response;
      } catch (error) {
        throw typed(error);
      }
    },
    requestLog: (next) => (request) => {
      if (!request.stream && logger.isLevelEnabled("debug")) {
        const requestId = request.contextValues.get(requestIdKey);
        logger.debug({ requestId, fields: setPaths(request.message) }, `${request.method.name} request`);
      }
      return next(request);
    },
  };
}

async function* typedStream<T>(messages: AsyncIterable<T>, typed: (error: unknown) => ConnectError): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw typed(error);
  }
}

/** The error itself if it has a reason, the matching one for aborted work, else BUG: its text never reaches the caller. */
export function asTyped(error: unknown): ConnectError {
  if (error instanceof ConnectError && reasonOf(error) !== undefined) return error;
  if (error instanceof ConnectError && [Code.Canceled, Code.DeadlineExceeded].includes(error.code))
    return abortError(error);
  return bug(error);
}

/** Replies that carry a token say it in a header too, where a shell finds it. */
function setTokenHeader(response: UnaryResponse | StreamResponse): void {
  if (response.stream) return;
  const token = (response.message as { token?: unknown }).token;
  if (typeof token === "string" && token !== "") response.header.set("ops-token", token);
}

function writeLine(logger: Logger, call: Call, seconds: number): void {
  const reason = reasonOf(call.error);
  const line = {
    requestId: call.requestId,
    service: call.service,
    method: call.method,
    code: codeOf(call.error),
    ...(reason === undefined ? {} : { reason: reasonName(reason) }),
    ms: Math.round(seconds * 1_000_000) / 1_000,
    caller: call.caller?.actor.principal ?? "",
    source: call.source,
    protocol: call.protocol,
  };
  const text = `${call.method} ${line.code}${call.error === undefined ? "" : `: ${call.error.rawMessage}`}`;
  if (reason === ErrorReason.BUG) logger.error({ ...line, cause: loggable(call.error?.cause) }, text);
  else if (call.error?.code === Code.Unavailable && reason !== ErrorReason.SHUTTING_DOWN) logger.warn(line, text);
  else if (QUIET_SERVICES.has(call.service)) logger.debug(line, text);
  else if (QUIET_METHODS.has(call.method) && call.error === undefined) logger.debug(line, text);
  else logger.info(line, text);
}

function codeOf(error: ConnectError | undefined): string {
  return error === undefined ? "ok" : codeToString(error.code);
}

function createMetrics(registry: Registry): { calls: Counter; seconds: Histogram; open: Gauge } {
  const registers = [registry];
  return {
    calls: new Counter({
      name: "ops_rpc_calls_total",
      help: "Calls that have ended, by status code; `unknown` where no method was reached.",
      labelNames: ["service", "method", "code"],
      registers,
    }),
    seconds: new Histogram({
      name: "ops_rpc_duration_seconds",
      help: "From a call's headers to the end of its answer; for streams, how long they were open.",
      labelNames: ["service", "method"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300],
      registers,
    }),
    open: new Gauge({ name: "ops_rpc_open_calls", help: "Calls in flight, streams included.", registers }),
  };
}
