import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, mergeNonProtocolHeaders, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeStreamJson,
  contentTypeUnaryJson,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { contentTypeProto as contentTypeGrpc, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Protocol } from "./call.ts";
import { reasonOf } from "./errors.ts";

/** Where HTTP has a word for it that says more than the one Connect derives from the code. */
const statusByReason: ReadonlyMap<ErrorReason, number> = new Map([
  [ErrorReason.METHOD_UNKNOWN, 404],
  [ErrorReason.HTTP_METHOD, 405],
  [ErrorReason.MEDIA_TYPE, 415],
  [ErrorReason.MESSAGE_TOO_LARGE, 413],
]);

/** The protocol that a request expects its answer in. gRPC needs the trailers of HTTP/2; without them, JSON is what a person can read. */
export function protocolOf(contentType: string | undefined, httpVersionMajor: number): Protocol {
  if (contentType === undefined) return "connect";
  if (httpVersionMajor >= 2 && /^application\/grpc(?:[+;]|$)/i.test(contentType)) return "grpc";
  return /^application\/connect\+/i.test(contentType) ? "connect-stream" : "connect";
}

/** The HTTP status of a unary Connect answer that is this error. */
export function httpStatusOf(error: ConnectError): number {
  const reason = reasonOf(error);
  return (reason === undefined ? undefined : statusByReason.get(reason)) ?? codeToHttpStatus(error.code);
}

/** A whole answer that is nothing but an error, in the shape that the protocol's clients read. */
export function errorResponse(protocol: Protocol, error: ConnectError): UniversalServerResponse {
  switch (protocol) {
    case "grpc":
      return {
        status: 200,
        header: new Headers({ "content-type": contentTypeGrpc }),
        body: once(new Uint8Array(0)),
        trailer: setTrailerStatus(new Headers(), error),
      };
    case "connect-stream":
      return {
        status: 200,
        header: new Headers({ "content-type": contentTypeStreamJson }),
        body: once(endOfStream(error)),
      };
    case "connect": {
      const body = errorToJsonBytes(error, undefined);
      const header = new Headers({ "content-type": contentTypeUnaryJson, "content-length": String(body.byteLength) });
      mergeNonProtocolHeaders(header, error.metadata);
      return { status: httpStatusOf(error), header, body: once(body) };
    }
    default:
      return protocol satisfies never;
  }
}

/** The last envelope of a Connect stream that failed. */
export function endOfStream(error: ConnectError): Uint8Array<ArrayBuffer> {
  const json = JSON.stringify(endStreamToJson(new Headers(), error, undefined));
  return encodeEnvelope(endStreamFlag, new TextEncoder().encode(json));
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
