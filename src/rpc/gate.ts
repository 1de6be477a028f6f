import { createContextValues, type ContextValues } from "@connectrpc/connect";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { isOpenToAll } from "./access.ts";
import { callKey, newCall, type Call } from "./call.ts";
import { callerKey, requestIdKey, type Caller } from "./caller.ts";
import { protocolOf } from "./error-response.ts";
import { opsError } from "./errors.ts";
import type { Identity } from "./identity.ts";
import { RateLimiter, type EdgeLimits } from "./limits.ts";
import { asTyped, type Observer } from "./observe.ts";
import { pathOf, pathProblem, pathRefused, sideOf, type Side } from "./paths.ts";
import { loggable } from "./redact.ts";
import { resetStream, resetStreamKey } from "./reset-stream.ts";
import { callerKeyOf } from "./serve.ts";
import { answerWith } from "./typed-response.ts";

/** What the gate goes by. */
export interface GateOptions {
  readonly identity: Identity;
  readonly limits: EdgeLimits;
  readonly observer: Observer;
  readonly logger: Logger;
  /** True from the moment that no new call is taken. */
  readonly isClosing: () => boolean;
}

/**
 * What every request passes first, whatever its protocol and whether or not its path exists: it becomes a call, and is refused unless its
 * path is plain, its caller known and not too fast. Nothing of a body has been read by then.
 */
export class Gate {
  readonly #options: GateOptions;
  readonly #limiter = new RateLimiter();
  readonly #calls = new WeakMap<FastifyRequest, Call>();
  readonly #open = new Set<Call>();
  #idle = Promise.withResolvers<void>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Settles when no call is open, which it may be already. */
  get idle(): Promise<void> {
    return this.#open.size === 0 ? Promise.resolve() : this.#idle.promise;
  }

  /** Fastify's onRequest hook. */
  readonly enter = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const call = this.#begin(request, reply);
    const problem = pathProblem(request.originalUrl ?? ""); // CONNECT of HTTP/2 has none
    if (problem !== undefined) throw pathRefused(problem);
    checkHeaders(request, this.#options.limits.connection.maxHeaderBytes);
    const path = pathOf(request.url);
    const side = sideOf(path);
    const { limits } = this.#options;
    try {
      call.caller = await this.#identify(request, call, side, path);
    } catch (error) {
      // Guessing tokens is limited too.
      this.#limiter.take(callerKeyOf(call), limits.admin.rate);
      throw error;
    }
    if (this.#options.isClosing()) {
      throw opsError(ErrorReason.SHUTTING_DOWN, "this replica is shutting down; call again, another one takes over", {
        retryAfterMs: 1_000,
      });
    }
    this.#limiter.take(callerKeyOf(call), limits[side].rate);
  };

  /** What Connect's handlers get of a request that was let in. */
  readonly contextValues = (request: FastifyRequest): ContextValues => {
    const call = this.#callOf(request);
    return createContextValues()
      .set(callKey, call)
      .set(callerKey, call.caller)
      .set(requestIdKey, call.requestId)
      .set(resetStreamKey, () => resetStream(request.raw));
  };

  /** Answers with an error in the protocol that the request speaks. */
  readonly refuse = async (error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const call = this.#calls.get(request) ?? this.#begin(request, reply);
    reply.hijack();
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) reply.raw.setHeader(name, value);
    }
    if (this.#options.isClosing() && request.raw.httpVersionMajor === 1) reply.raw.setHeader("connection", "close");
    try {
      await universalResponseToNodeResponse(answerWith(asTyped(fromFastify(error)), call), reply.raw);
    } catch (writeError) {
      // The peer is gone, which the call's end tells; what else it may be is worth a look.
      this.#options.logger.debug(
        { requestId: call.requestId, cause: loggable(writeError) },
        "an error was not delivered",
      );
    }
    return reply;
  };

  #begin(request: FastifyRequest, reply: FastifyReply): Call {
    const { headers, httpVersionMajor, socket } = request.raw;
    const requestId = headers["x-request-id"];
    const call = newCall(
      typeof requestId === "string" ? requestId : undefined,
      protocolOf(headers["content-type"], httpVersionMajor),
      socket.remoteAddress ?? "",
    );
    this.#calls.set(request, call);
    this.#open.add(call);
    this.#options.observer.started(call);
    reply.raw.once("close", () => this.#end(call));
    reply.raw.once("finish", () => drain(request));
    reply.header("x-request-id", call.requestId).header("cache-control", "no-store");
    return call;
  }

  #end(call: Call): void {
    for (const release of call.releases) release();
    this.#options.observer.ended(call);
    this.#open.delete(call);
    if (this.#open.size > 0) return;
    this.#idle.resolve();
    this.#idle = Promise.withResolvers<void>();
  }

  #callOf(request: FastifyRequest): Call {
    const call = this.#calls.get(request);
    if (call === undefined) throw new Error("a request came past the gate");
    return call;
  }

  async #identify(request: FastifyRequest, call: Call, side: Side, path: string): Promise<Caller | undefined> {
    const { identity } = this.#options;
    const { headers } = request.raw;
    if (side === "admin") return identity.adminCaller(headers.authorization, call.source);
    if (isOpenToAll(path.slice(1, path.lastIndexOf("/")))) return undefined;
    return identity.meshCaller({
      remoteAddress: request.raw.socket.remoteAddress,
      authority: authorityOf(request),
      headers,
      isGrpc: call.protocol === "grpc",
    });
  }
}

/**
 * Reads what an HTTP/1 client still sends after its answer, so that the connection can be used again. Node does so itself only for bodies that
 * nobody began to read. The request's timeout bounds it.
 */
function drain({ raw }: FastifyRequest): void {
  if (raw.httpVersionMajor !== 1 || raw.complete || raw.destroyed) return;
  raw.removeAllListeners("readable");
  raw.resume();
}

/** Fastify looks at a content type before it looks for somebody who reads the body. */
function fromFastify(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!code.startsWith("FST_ERR_CTP_")) return error;
  return opsError(ErrorReason.MEDIA_TYPE, "the Content-Type is none; send application/json", { cause: error });
}

/** `:authority` of HTTP/2, the Host header of HTTP/1. */
function authorityOf(request: FastifyRequest): string | undefined {
  return request.raw.headers[":authority"]?.toString() ?? request.raw.headers.host;
}

function checkHeaders(request: FastifyRequest, maxBytes: number): void {
  const authority = authorityOf(request);
  if (authority === undefined || !URL.canParse(`http://${authority}/`)) {
    throw opsError(ErrorReason.MALFORMED, "the request names no valid host; send a Host header");
  }
  // Node holds HTTP/1 to the limit by itself, and HTTP/2 only to one of its own.
  const bytes = request.raw.rawHeaders.reduce((sum, text) => sum + text.length, 0);
  if (bytes <= maxBytes) return;
  throw opsError(ErrorReason.MESSAGE_TOO_LARGE, `the headers are larger than ${maxBytes} bytes; send less`, {
    metadata: { limit: String(maxBytes) },
  });
}
