import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { frameLengths } from "./grpc-frames.ts";

/** A gRPC client that does nothing with what it gets, so that the server is what is measured. The same for the service and for the bare server. */
export async function openSessions(url: string, count: number): Promise<ClientHttp2Session[]> {
  const sessions = Array.from({ length: count }, () => connect(url));
  await Promise.all(
    sessions.map(async (session) => {
      await once(session, "connect");
      session.setLocalWindowSize(16 * 1_048_576);
    }),
  );
  return sessions;
}

/** One call. @returns its reply's bytes as they came. @throws Error with the status when it isn't OK */
export function call(session: ClientHttp2Session, path: string, frame: Buffer): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const stream = open(session, path, frame);
  const parts: Buffer[] = [];
  let status: unknown;
  stream.on("response", (headers) => (status = headers["grpc-status"]));
  stream.on("trailers", (trailers: IncomingHttpHeaders) => (status = trailers["grpc-status"]));
  stream.on("data", (part: Buffer) => parts.push(part));
  stream.on("error", reject);
  stream.on("close", () => {
    if (status === "0") resolve(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts));
    else reject(new Error(`${path} ended with status ${String(status)}`));
  });
  return promise;
}

/** A server stream. `onMessage` gets the length of each message; `onEnd` is called if it ends before `close`. */
export function watch(
  session: ClientHttp2Session,
  path: string,
  frame: Buffer,
  { onMessage, onEnd }: { readonly onMessage: (length: number) => void; readonly onEnd: (error: Error) => void },
): { close(): void } {
  const stream = open(session, path, frame);
  let closed = false;
  stream.on("data", frameLengths(onMessage));
  stream.on("error", () => undefined); // its close follows
  stream.on("close", () => {
    if (!closed) onEnd(new Error(`${path} ended`));
  });
  return {
    close: () => {
      closed = true;
      stream.close(constants.NGHTTP2_CANCEL);
    },
  };
}

function open(session: ClientHttp2Session, path: string, frame: Buffer): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(frame);
  return stream;
}
