import type { ConnectError } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { Call } from "./call.ts";
import { endOfStream, errorResponse, httpStatusOf } from "./error-response.ts";
import { compressions, refusedBy, typedFromConnect } from "./protocol-errors.ts";

/** More than any error of ours has. */
const MAX_ERROR_BYTES = 1_048_576;

/**
 * The last station of every answer. Connect finds some faults outside of the interceptors (envelopes, sizes, wrong methods and media
 * types, a missing message) and answers without ErrorInfo; here they get one. Errors that interceptors threw have one
 * already, and `call.error` holds them.
 */
export async function typedResponse(
  response: UniversalServerResponse,
  call: Call,
  handler: UniversalHandler,
): Promise<UniversalServerResponse> {
  if (response.trailer !== undefined) return typedGrpc(response, response.trailer, call, handler);
  if (response.status === 200) {
    return answeredAtEnd(call.protocol === "connect-stream" ? typedStream(response, call, handler) : response, call);
  }
  if (call.error !== undefined) return answeredAtEnd({ ...response, status: httpStatusOf(call.error) }, call);
  const body = await readAll(response);
  if (body.byteLength === 0) return answerWith(refusedBy(response.status, handler), call);
  const answered = errorFromJsonBytes(body, undefined, refusedBy(response.status, handler));
  return answerWith(typedFromConnect(answered, call.protocol, handler.method), call);
}

/** An answer that is nothing but this error. */
export function answerWith(error: ConnectError, call: Call): UniversalServerResponse {
  call.error = error;
  return answeredAtEnd(errorResponse(call.protocol, error), call);
}

function answeredAtEnd(response: UniversalServerResponse, call: Call): UniversalServerResponse {
  async function* body(): AsyncIterable<Uint8Array> {
    if (response.body !== undefined) yield* response.body;
    call.answered = true;
  }
  return { ...response, body: body() };
}

function typedGrpc(
  response: UniversalServerResponse,
  trailer: Headers,
  call: Call,
  handler: UniversalHandler,
): UniversalServerResponse {
  async function* body(): AsyncIterable<Uint8Array> {
    if (response.body !== undefined) yield* response.body;
    const answered = call.error === undefined ? findTrailerError(trailer) : undefined;
    if (answered !== undefined) {
      call.error = typedFromConnect(answered, call.protocol, handler.method);
      setTrailerStatus(trailer, call.error);
    }
    call.answered = true;
  }
  return { ...response, body: body() };
}

function typedStream(
  response: UniversalServerResponse,
  call: Call,
  handler: UniversalHandler,
): UniversalServerResponse {
  async function* body(): AsyncIterable<Uint8Array> {
    // Connect writes one envelope at a time. An error without details is too short to have been compressed.
    for await (const envelope of response.body ?? []) {
      const isPlainEnd = envelope[0] === endStreamFlag;
      const answered =
        isPlainEnd && call.error === undefined ? endStreamFromJson(envelope.subarray(5)).error : undefined;
      if (answered === undefined) {
        yield envelope;
      } else {
        call.error = typedFromConnect(answered, call.protocol, handler.method);
        yield endOfStream(call.error);
      }
    }
  }
  return { ...response, body: body() };
}

async function readAll(response: UniversalServerResponse): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body ?? []) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const encoding = response.header?.get("content-encoding");
  const compression = compressions.find((candidate) => candidate.name === encoding);
  return compression === undefined ? body : compression.decompress(body, MAX_ERROR_BYTES);
}
