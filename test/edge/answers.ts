import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { codeToString, endStreamFlag, endStreamFromJson, errorFromJson } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  type ErrorInfo,
} from "@operator-management/contract/google/rpc/error_details_pb.js";

/** An answer with its error read the way a client of the protocol reads it. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly error: ConnectError | undefined;
}

export const codeOf = (answer: Answer): string => (answer.error === undefined ? "ok" : codeToString(answer.error.code));

export const infosOf = (answer: Answer): ErrorInfo[] => answer.error?.findDetails(ErrorInfoSchema) ?? [];

export const reasonOf = (answer: Answer): string => infosOf(answer)[0]?.reason ?? "";

export const fieldsOf = (answer: Answer): string[] =>
  (answer.error?.findDetails(BadRequestSchema) ?? []).flatMap((detail) =>
    detail.fieldViolations.map((violation) => violation.field),
  );

export const retryMsOf = (answer: Answer): number => {
  const [retry] = answer.error?.findDetails(RetryInfoSchema) ?? [];
  return Number(retry?.retryDelay?.seconds ?? 0) * 1_000 + (retry?.retryDelay?.nanos ?? 0) / 1_000_000;
};

/** Everything that the answer says, for searching. */
export const textOf = (answer: Answer): string =>
  [answer.body.toString("latin1"), JSON.stringify([...answer.headers]), JSON.stringify(answer.error ?? "")].join("\n");

/** One request with `fetch` (HTTP/1.1). */
export async function request(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  return answerOf(response.status, response.headers, Buffer.from(await response.arrayBuffer()));
}

/** One HTTP/2 request on a connection of its own. `body` undefined sends none. */
export async function requestH2(
  origin: string,
  headers: http2.OutgoingHttpHeaders,
  body: Uint8Array | undefined,
): Promise<Answer> {
  const session = http2.connect(origin);
  session.on("error", () => undefined); // the stream has it too
  try {
    const stream = session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    const all = new Headers();
    let status = 0;
    stream.on("response", (received) => {
      status = received[":status"] ?? 0;
      append(all, received);
    });
    stream.on("trailers", (received: http2.IncomingHttpHeaders) => append(all, received));
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return answerOf(status, all, Buffer.concat(chunks));
  } finally {
    session.destroy();
  }
}

/** One gRPC call with a body as given, envelopes and all. */
export function requestGrpc(
  origin: string,
  path: string,
  body: Uint8Array | undefined,
  headers: http2.OutgoingHttpHeaders = {},
): Promise<Answer> {
  return requestH2(
    origin,
    { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers },
    body,
  );
}

/** Sends bytes and reads until the server closes the connection. */
export async function requestRaw(port: number, text: string | Uint8Array): Promise<Answer> {
  const socket = net.connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
  const end = all.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = all.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Headers(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
  return answerOf(Number(statusLine.split(" ")[1]), headers, all.subarray(end + 4));
}

/** A message in its envelope, as gRPC and Connect streams frame it. */
export const envelope = (bytes: Uint8Array | string, flags = 0): Uint8Array =>
  encodeEnvelope(flags, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);

function answerOf(status: number, headers: Headers, body: Buffer): Answer {
  return { status, headers, body, error: errorOf(status, headers, body) };
}

function errorOf(status: number, headers: Headers, body: Buffer): ConnectError | undefined {
  const type = headers.get("content-type") ?? "";
  if (type.startsWith("application/grpc")) return findTrailerError(headers);
  if (type.startsWith("application/connect+")) {
    for (let at = 0; at + 5 <= body.length; at += 5 + body.readUInt32BE(at + 1)) {
      if (body[at] !== endStreamFlag) continue;
      return endStreamFromJson(body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1))).error;
    }
    return undefined;
  }
  if (status === 200 || body.length === 0) return undefined;
  return errorFromJson(JSON.parse(body.toString()) as never, undefined, new Error("not a Connect error") as never);
}

function append(all: Headers, received: http2.IncomingHttpHeaders): void {
  for (const [name, value] of Object.entries(received)) {
    if (!name.startsWith(":") && value !== undefined) all.append(name, String(value));
  }
}
