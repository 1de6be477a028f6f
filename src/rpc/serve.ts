import { base64Decode } from "@bufbuild/protobuf/wire";
import type { ConnectError } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { authorize } from "./access.ts";
import { callKey, type Call, type Protocol } from "./call.ts";
import { applyDeadline } from "./deadline.ts";
import { opsError } from "./errors.ts";
import { tooManyCalls, tooManyStreams, type EdgeLimits, type Places, type SideLimits } from "./limits.ts";
import { asTyped } from "./observe.ts";
import { compressions, unknownEncoding, wrongMediaType } from "./protocol-errors.ts";
import { guardedBody } from "./request-body.ts";
import { answerWith, typedResponse } from "./typed-response.ts";

/** What calls share: the bounds, and what is open. */
export interface ServeContext {
  readonly limits: EdgeLimits;
  readonly side: SideLimits;
  readonly calls: Places;
  readonly streams: Places;
  /** Streams of callers without an identity (health), so that they can't take the places of the others. */
  readonly anonymousStreams: Places;
}

const MAX_ANONYMOUS_STREAMS = 64;

const encodingHeaders: Readonly<Record<Protocol, { request: string; accept: string }>> = {
  connect: { request: "content-encoding", accept: "accept-encoding" },
  "connect-stream": { request: "connect-content-encoding", accept: "connect-accept-encoding" },
  grpc: { request: "grpc-encoding", accept: "grpc-accept-encoding" },
};

/**
 * A Connect handler with what must come before its body is read (access, limits, the deadline) and after (typed errors for what it
 * finds by itself). It never rejects.
 */
export function serve(handler: UniversalHandler, context: ServeContext): UniversalHandler {
  async function served(request: UniversalServerRequest): Promise<UniversalServerResponse> {
    const call = request.contextValues?.get(callKey);
    if (call === undefined) throw new Error("a request came without its call");
    call.service = handler.service.typeName;
    call.method = handler.method.name;
    try {
      authorize(handler.method, call.caller);
      const encodingError = checkEncoding(request, call.protocol);
      if (encodingError !== undefined) return withAcceptedEncodings(answerWith(encodingError, call), call.protocol);
      checkMediaType(handler, request, call);
      takePlace(handler, context, call);
      const bodyWithinMs = applyDeadline(request, handler.method, call.protocol, context.limits);
      const response = await handler({ ...request, body: guardedBody(request.body, bodyWithinMs) });
      return await typedResponse(response, call, handler);
    } catch (error) {
      return answerWith(asTyped(error), call);
    }
  }
  const { service, method, requestPath, supportedContentType, protocolNames, allowedMethods } = handler;
  return Object.assign(served, { service, method, requestPath, supportedContentType, protocolNames, allowedMethods });
}

function takePlace(handler: UniversalHandler, context: ServeContext, call: Call): void {
  const { limits, side } = context;
  if (handler.method.methodKind === "unary") {
    const max = { total: Number.POSITIVE_INFINITY, perCaller: side.maxConcurrentCalls };
    call.releases.push(context.calls.take(callerKeyOf(call), max, tooManyCalls));
  } else if (call.caller === undefined) {
    const max = { total: MAX_ANONYMOUS_STREAMS, perCaller: MAX_ANONYMOUS_STREAMS };
    call.releases.push(context.anonymousStreams.take(callerKeyOf(call), max, tooManyStreams));
  } else {
    const max = { total: limits.maxStreams, perCaller: limits.maxStreamsPerCaller };
    call.releases.push(context.streams.take(callerKeyOf(call), max, tooManyStreams));
  }
}

/** Whose limits a call counts against: the caller's, or the peer address's where there is no caller. */
export function callerKeyOf(call: Call): string {
  return call.caller === undefined
    ? `address ${call.source}`
    : `${call.caller.actor.kind} ${call.caller.actor.principal}`;
}

function checkEncoding(request: UniversalServerRequest, protocol: Protocol): ConnectError | undefined {
  const isGet = request.method === "GET";
  const { request: header } = encodingHeaders[protocol];
  const name = isGet ? new URL(request.url).searchParams.get("compression") : request.header.get(header);
  if (name === null || name === "identity" || compressions.some((compression) => compression.name === name))
    return undefined;
  return unknownEncoding(isGet ? "the query parameter compression" : `the header ${header}`, compressions);
}

/** gRPC's compression specification wants the client told what would have been understood. */
function withAcceptedEncodings(response: UniversalServerResponse, protocol: Protocol): UniversalServerResponse {
  const names = ["identity", ...compressions.map((compression) => compression.name)];
  response.header?.set(encodingHeaders[protocol].accept, names.join(","));
  return response;
}

/** What Connect would let through or call a bug: gRPC where there are no trailers, JSON in gRPC, a GET that can't be decoded. */
function checkMediaType(handler: UniversalHandler, request: UniversalServerRequest, call: Call): void {
  if (handler.protocolNames.includes("grpc")) {
    // Replies to the mesh are made of bytes that were encoded once; as JSON they would be empty.
    const isJson = /\+json/i.test(request.header.get("content-type") ?? "");
    if (call.protocol !== "grpc" || isJson) throw wrongMediaType(handler);
    return;
  }
  if (request.method !== "GET" || !handler.allowedMethods.includes("GET") || handler.method.methodKind !== "unary")
    return;
  const query = new URL(request.url).searchParams;
  if (!["json", "proto"].includes(query.get("encoding") ?? "")) {
    throw opsError(ErrorReason.MEDIA_TYPE, "the query parameter encoding must be json or proto", {
      metadata: { parameter: "encoding" },
    });
  }
  if (query.get("base64") === "1" && !isBase64(query.get("message") ?? "")) {
    throw opsError(ErrorReason.MALFORMED, "the query parameter message is not base64", {
      metadata: { parameter: "message" },
    });
  }
}

function isBase64(text: string): boolean {
  try {
    base64Decode(text);
    return true;
  } catch {
    return false; // the answer is all that is asked for
  }
}
