import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "./errors.ts";

/** Answers bytes that are no HTTP/1 request, or not in time, with a typed error, and closes the connection. */
export function answerBrokenHttp(error: Error & { code?: string }, socket: Duplex, maxHeaderBytes: number): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, typed] = explain(error.code, maxHeaderBytes);
  const body = Buffer.from(errorToJsonBytes(typed, undefined));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "content-type: application/json",
    `content-length: ${body.byteLength}`,
    "cache-control: no-store",
    "connection: close",
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), body]));
}

function explain(code: string | undefined, maxHeaderBytes: number): [number, ConnectError] {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return [
        431,
        opsError(ErrorReason.MESSAGE_TOO_LARGE, `the headers are larger than ${maxHeaderBytes} bytes; send less`, {
          metadata: { limit: String(maxHeaderBytes) },
        }),
      ];
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, opsError(ErrorReason.DEADLINE, "the request took too long to arrive")];
    default:
      return [400, opsError(ErrorReason.MALFORMED, "this is not an HTTP/1.1 or HTTP/2 request")];
  }
}
