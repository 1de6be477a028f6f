// The baseline for what the port costs: node:http2 alone, which answers every call with the same bytes and, on request, writes the same
// bytes to all its streams. A process of its own, as the service is. Its parent sends it the bytes.
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { BARE_PATHS } from "./bare-paths.ts";

/** All in base64. */
export interface BareReplies {
  readonly unary: string;
  /** The first message of each stream, and what is written to all of them. */
  readonly first: string;
  readonly change: string;
}

process.once("message", (replies: BareReplies) => serve(replies));

function serve(replies: BareReplies): void {
  const unary = Buffer.from(replies.unary, "base64");
  const first = Buffer.from(replies.first, "base64");
  const change = Buffer.from(replies.change, "base64");
  const watches = new Set<ServerHttp2Stream>();
  const server = createServer((request, response) => {
    const { stream } = response;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      response.writeHead(200, { "content-type": "application/grpc" });
      if (request.url === BARE_PATHS.watch) {
        watches.add(stream);
        stream.on("error", () => undefined); // the client went away, as its close tells
        stream.on("close", () => watches.delete(stream));
        response.write(first);
        return;
      }
      if (request.url === BARE_PATHS.push) void push(Buffer.concat(chunks).readUInt32BE(5));
      response.write(unary);
      response.addTrailers({ "grpc-status": "0" });
      response.end();
    });
  });
  const push = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time++) {
      for (const stream of watches) stream.write(change);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
}
