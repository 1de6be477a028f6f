import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression, UniversalHandler } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Protocol } from "./call.ts";
import { abortError } from "./deadline.ts";
import { bug, opsError, reasonOf } from "./errors.ts";

/** What Connect says about a fault of the client's, and what the client is told instead. */
interface Fault {
  readonly text: RegExp;
  readonly tell: (match: RegExpExecArray, method: DescMethod) => { reason: ErrorReason; text: string; limit?: string };
  /** The code that the gRPC specification demands, where it isn't the reason's own. */
  readonly grpcCode?: Code;
}

/** Connect 2.2's own texts. One that is not (or no longer) here falls back on its code, below; a test has each of them. */
const faults: readonly Fault[] = [
  {
    text: /larger than configured readMaxBytes (\d+)/,
    tell: ([, limit = ""]) => ({
      reason: ErrorReason.MESSAGE_TOO_LARGE,
      text: `the request is larger than ${limit} bytes (counted after decompression); split it`,
      limit,
    }),
  },
  {
    text: /larger than configured writeMaxBytes (\d+)/,
    tell: ([, limit = ""]) => ({
      reason: ErrorReason.MESSAGE_TOO_LARGE,
      text: `the reply would be larger than ${limit} bytes; ask for less, e.g. with a smaller page_size`,
      limit,
    }),
  },
  {
    text: /^parse binary/,
    tell: (_, method) => malformed(`the body is no ${method.input.typeName} in protobuf's binary format`),
  },
  { text: /promised \d+ bytes/, tell: () => malformed("the body is not as long as its Content-Length says") },
  { text: /incomplete envelope/, tell: () => malformed("the body ends in the middle of a message") },
  {
    text: /unexpected end flag/,
    tell: () => malformed("the body has an end-of-stream message, which only servers send"),
  },
  {
    text: /missing input message/,
    tell: () => malformed("the body holds no message; send exactly one"),
    grpcCode: Code.Unimplemented,
  },
  {
    text: /received extra input message/,
    tell: () => malformed("the body holds more than one message; send exactly one"),
    grpcCode: Code.Unimplemented,
  },
  {
    text: /compressed envelope, but do not know how/,
    tell: () => malformed("a message is flagged as compressed, but no header names the compression"),
    grpcCode: Code.Internal,
  },
];

function malformed(text: string): { reason: ErrorReason; text: string } {
  return { reason: ErrorReason.MALFORMED, text };
}

/** The typed error for a fault of the client's that Connect found; undefined for any other error. */
export function faultOfClient(error: ConnectError, protocol: Protocol, method: DescMethod): ConnectError | undefined {
  for (const fault of faults) {
    const match = fault.text.exec(error.rawMessage);
    if (match === null) continue;
    const { reason, text, limit } = fault.tell(match, method);
    const code = protocol === "grpc" ? fault.grpcCode : undefined;
    return opsError(reason, text, {
      ...(code === undefined ? {} : { code }),
      ...(limit === undefined ? {} : { metadata: { limit } }),
    });
  }
  return undefined;
}

/**
 * The typed error for one that an answer of Connect's holds: itself if it has a reason already, because it was thrown by something
 * of ours that Connect called. Connect's own texts may quote the body, and go no further.
 */
export function typedFromConnect(error: ConnectError, protocol: Protocol, method: DescMethod): ConnectError {
  if (reasonOf(error) !== undefined) return error;
  const fault = faultOfClient(error, protocol, method);
  if (fault !== undefined) return fault;
  switch (error.code) {
    case Code.InvalidArgument:
      return opsError(ErrorReason.MALFORMED, "the request can't be read");
    case Code.ResourceExhausted:
      return opsError(ErrorReason.MESSAGE_TOO_LARGE, "the request or its reply is too large");
    case Code.Canceled:
    case Code.DeadlineExceeded:
      return abortError(error);
    default:
      return bug(error);
  }
}

/** The typed error for a bare HTTP status that Connect's handler refused a request with. */
export function refusedBy(status: number, handler: UniversalHandler): ConnectError {
  const { method, allowedMethods } = handler;
  if (status === 405) return wrongHttpMethod(`${method.name} is called by`, allowedMethods);
  if (status === 415) return wrongMediaType(handler);
  if (status === 505) return opsError(ErrorReason.MEDIA_TYPE, `${method.name} needs HTTP/2`);
  const cause = new Error(`the handler answered with HTTP ${status}`);
  return bug(cause);
}

/** HTTP_METHOD, with the header that HTTP wants. */
export function wrongHttpMethod(subject: string, allowed: readonly string[]): ConnectError {
  const error = opsError(ErrorReason.HTTP_METHOD, `${subject} ${allowed.join(" or ")}`, {
    metadata: { allowed: allowed.join(", ") },
  });
  error.metadata.set("allow", allowed.join(", "));
  return error;
}

/** MEDIA_TYPE, with what the method does speak. */
export function wrongMediaType({
  method,
  protocolNames,
}: Pick<UniversalHandler, "method" | "protocolNames">): ConnectError {
  const types = protocolNames.includes("grpc")
    ? "application/grpc or application/grpc+proto over HTTP/2"
    : method.methodKind === "unary"
      ? "application/json or application/proto"
      : "application/connect+json or application/connect+proto, as it is a stream";
  return opsError(ErrorReason.MEDIA_TYPE, `${method.name} speaks ${types}; set Content-Type`, { metadata: { types } });
}

/** ENCODING_UNKNOWN for a request whose messages are compressed by something else than these. */
export function unknownEncoding(header: string, known: readonly Compression[]): ConnectError {
  const names = ["identity", ...known.map((compression) => compression.name)].join(", ");
  return opsError(ErrorReason.ENCODING_UNKNOWN, `${header} is none of ${names}`, {
    metadata: { header, supported: names },
  });
}

/** Connect's compressions, with errors that say what is wrong. Sizes are limited by the decompressed bytes. */
export const compressions: readonly Compression[] = [compressionGzip, compressionBrotli].map((compression) => ({
  ...compression,
  async decompress(bytes, readMaxBytes) {
    try {
      return await compression.decompress(bytes, readMaxBytes);
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.ResourceExhausted) throw error;
      throw opsError(ErrorReason.MALFORMED, `the body is not ${compression.name}-compressed, as its header says`, {
        cause: error,
      });
    }
  },
}));
