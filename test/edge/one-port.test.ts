import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { GetOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterEach, expect, test, vi } from "vitest";
import { defaultLimits } from "../../src/rpc/limits.ts";
import type { ConnectionLimits } from "../../src/rpc/one-port.ts";
import { envelope, reasonOf, requestGrpc, requestRaw } from "./answers.ts";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

let edge: EdgeServer;
afterEach(async () => {
  await edge[Symbol.asyncDispose]();
});

const start = async (limits: Partial<ConnectionLimits> = {}): Promise<void> => {
  edge = await startEdge({ limits: { connection: { ...defaultLimits.connection, ...limits } } });
};

const valid = envelope(toBinary(GetOperatorRequestSchema, create(GetOperatorRequestSchema, { operatorId: "acme" })));
const getOperator = () => requestGrpc(edge.url, "/ops.v1.OperatorService/GetOperator", valid);
const getAlias = `GET /v1/admin/operators HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKENS.viewer}\r\nconnection: close\r\n\r\n`;

const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** A connection that takes every chunk through the Nagle-free socket on its own. */
async function connect(): Promise<net.Socket> {
  const socket = net.connect({ port: edge.port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function writeByteByByte(socket: net.Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
  }
}

test("an HTTP/2 preface is recognised when it comes byte by byte", async () => {
  await start();
  const socket = await connect();
  await writeByteByByte(socket, Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), emptySettings]));
  const [reply] = (await once(socket, "data")) as [Buffer];
  expect(reply[3]).toBe(4); // the server's SETTINGS frame
  socket.destroy();
});

test("an HTTP/1 request is served when it comes byte by byte, also one that begins like the preface", async () => {
  await start();
  const socket = await connect();
  const answered = once(socket, "data");
  await writeByteByByte(socket, Buffer.from(getAlias));
  expect(String(((await answered) as [Buffer])[0])).toMatch(/^HTTP\/1\.1 200/);
  const answer = await requestRaw(edge.port, getAlias.replace("GET", "PROPFIND"));
  expect(answer.status).toBe(405);
});

test("both protocols are served at once", async () => {
  await start();
  const answers = await Promise.all([getOperator(), requestRaw(edge.port, getAlias), getOperator()]);
  expect(answers.map(({ status, error }) => [status, error])).toEqual([
    [200, undefined],
    [200, undefined],
    [200, undefined],
  ]);
});

test("a socket that says nothing is closed, and so is one that drips", async () => {
  await start({ sniffTimeoutMs: 100 });
  const silent = await connect();
  const dripping = await connect();
  dripping.write("PRI");
  await Promise.all([once(silent, "close"), once(dripping, "close")]);
});

test("a socket that is half closed before it said anything is closed", async () => {
  await start();
  const socket = await connect();
  socket.end();
  socket.resume();
  await once(socket, "close");
});

test("headers that never end are answered with a typed error", async () => {
  await start({ headersTimeoutMs: 100, requestTimeoutMs: 200, checkIntervalMs: 50 });
  const answer = await requestRaw(edge.port, "GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
  expect([answer.status, reasonOf(answer)]).toEqual([408, "DEADLINE"]);
});

test("an HTTP/1 body that never ends is answered with a typed error", async () => {
  await start({ headersTimeoutMs: 100, requestTimeoutMs: 200, checkIntervalMs: 50 });
  const head = getAlias
    .replace("GET /v1/admin/operators ", "POST /v1/admin/operators/ops.v1.OperatorAdminService/GetOperator ")
    .replace("\r\n\r\n", "\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{");
  const answer = await requestRaw(edge.port, head);
  expect([answer.status, reasonOf(answer)]).toEqual([408, "DEADLINE"]);
});

test("a connection without traffic is closed, in both protocols", async () => {
  await start({ idleTimeoutMs: 100 });
  const session = http2.connect(edge.url);
  await once(session, "close");
  const socket = await connect();
  socket.write("GET / HTTP/1.1\r\n");
  await once(socket, "close");
});

test("no more connections are taken than allowed", async () => {
  await start({ maxConnections: 2 });
  const held = [await connect(), await connect()];
  const third = await connect();
  await once(third, "close");
  for (const socket of held) socket.destroy();
  await vi.waitFor(async () => expect((await getOperator()).status).toBe(200));
});

test("an HTTP/2 client that vanishes leaves no session behind, whether it hangs up or crashes", async () => {
  await start();
  for (const vanish of [(socket: net.Socket) => socket.end(), (socket: net.Socket) => socket.destroy()]) {
    const socket = await connect();
    socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), emptySettings]));
    await once(socket, "data");
    vanish(socket.resume());
    await once(socket, "close");
  }
  // Closing waits for every connection; it would hang on a leaked one.
  await edge.close(60_000);
});

test("a client that opens and resets streams in a rush loses its connection, and nobody else", async () => {
  await start({ streamResetBurst: 20, streamResetRate: 1 });
  const session = http2.connect(edge.url);
  session.on("error", () => undefined);
  const goaway = once(session, "goaway");
  const reset = (): void => {
    const stream = session.request({ ":method": "POST", ":path": "/ops.v1.OperatorService/WatchOperators" });
    stream.on("error", () => undefined);
    stream.close(http2.constants.NGHTTP2_CANCEL);
  };
  await once(session, "remoteSettings");
  for (let count = 0; count < 200; count += 1) reset();
  await goaway;
  session.destroy();
  expect((await getOperator()).error).toBeUndefined();
});

test("a client may not open more streams on one connection than announced", async () => {
  await start({ maxStreamsPerConnection: 7 });
  const session = http2.connect(edge.url);
  const [settings] = (await once(session, "remoteSettings")) as [http2.Settings];
  expect(settings.maxConcurrentStreams).toBe(7);
  session.destroy();
});

test("HTTP/2 headers above the limit are answered with a typed error", async () => {
  await start();
  const answer = await requestGrpc(edge.url, "/ops.v1.OperatorService/GetOperator", valid, {
    "x-big": "x".repeat(17_000),
  });
  expect(reasonOf(answer)).toBe("MESSAGE_TOO_LARGE");
  expect((await getOperator()).error).toBeUndefined();
});
