import http from "node:http";
import http2 from "node:http2";
import type { Socket } from "node:net";

/** What every HTTP/2 connection begins with (RFC 9113, 3.4); no HTTP/1 request does. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Bounds on what one connection may cost. Times in milliseconds. */
export interface ConnectionLimits {
  /** Connections at once; more are closed on arrival. */
  readonly maxConnections: number;
  /** From the connection to the byte that tells the protocol. An absolute time: a byte now and then doesn't prolong it. */
  readonly sniffTimeoutMs: number;
  /** For the headers of an HTTP/1 request. */
  readonly headersTimeoutMs: number;
  /** For a whole HTTP/1 request, its body included. */
  readonly requestTimeoutMs: number;
  /** Without a byte in either direction; longer than the longest call and the longest interval between a watch's bookmarks. */
  readonly idleTimeoutMs: number;
  /** Between two requests on an HTTP/1 connection; longer than the gateway keeps idle connections, or it meets closed ones. */
  readonly keepAliveTimeoutMs: number;
  /** How often HTTP/1 timeouts are checked. */
  readonly checkIntervalMs: number;
  /** Bytes of one request's headers. */
  readonly maxHeaderBytes: number;
  /** Open HTTP/2 streams per connection. */
  readonly maxStreamsPerConnection: number;
  /** How many streams a client may reset at once before it must keep to `streamResetRate` a second (CVE-2023-44487). */
  readonly streamResetBurst: number;
  readonly streamResetRate: number;
}

/** One plaintext listener for HTTP/1.1 and HTTP/2 with prior knowledge (h2c). */
export interface OnePort {
  /** Owns the listening socket: listen and read the address here. Its `clientError` event is the caller's. */
  readonly server: http.Server;
  /** Stops listening, tells HTTP/2 clients to go away (GOAWAY), and closes idle connections. Calls in flight go on. */
  closeGracefully(): void;
  /** Destroys what is still open. */
  destroy(): void;
  /** Settles when the last connection is gone. */
  readonly closed: Promise<void>;
}

/** The port, not yet listening. `handler` gets the requests of both protocols. */
export function createOnePort(handler: http.RequestListener, limits: ConnectionLimits): OnePort {
  const h1 = createHttp1(handler, limits);
  const { h2, sessions } = createHttp2(handler, limits);
  const sockets = new Set<Socket>();
  const sniffing = new Set<Socket>();
  let closing = false;

  // The HTTP/1 server owns the listening socket; its own listeners get a connection only once it is known to speak HTTP/1.
  const acceptHttp1 = h1.listeners("connection") as ((socket: Socket) => void)[];
  h1.removeAllListeners("connection");
  h1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    sniffing.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      sniffing.delete(socket);
    });
    sniff(socket, limits.sniffTimeoutMs, (isHttp2) => {
      sniffing.delete(socket);
      if (!isHttp2) {
        for (const accept of acceptHttp1) accept.call(h1, socket);
        return;
      }
      // With half-open sockets (what an HTTP/1 server creates) the session of a client that went away would stay for ever.
      socket.allowHalfOpen = false;
      h2.emit("connection", socket);
    });
  });

  const closed = Promise.withResolvers<void>();
  h1.once("close", closed.resolve);
  return {
    server: h1,
    closed: closed.promise,
    closeGracefully() {
      if (closing) return;
      closing = true;
      h1.close();
      h1.closeIdleConnections();
      for (const socket of sniffing) socket.destroy();
      for (const session of sessions) session.close();
      if (!h1.listening && sockets.size === 0) closed.resolve();
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createHttp1(handler: http.RequestListener, limits: ConnectionLimits): http.Server {
  const server = http.createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      // A request without Host gets our own typed error, not Node's empty 400.
      requireHostHeader: false,
    },
    handler,
  );
  // An expectation that we don't know is no reason not to answer the request; Node alone would send an empty 417.
  server.on("checkExpectation", handler);
  server.maxConnections = limits.maxConnections;
  server.setTimeout(limits.idleTimeoutMs);
  return server;
}

function createHttp2(
  handler: http.RequestListener,
  limits: ConnectionLimits,
): { h2: http2.Http2Server; sessions: Set<http2.ServerHttp2Session> } {
  const sessions = new Set<http2.ServerHttp2Session>();
  const h2 = http2.createServer(
    {
      settings: { maxConcurrentStreams: limits.maxStreamsPerConnection, maxHeaderListSize: limits.maxHeaderBytes },
      streamResetBurst: limits.streamResetBurst,
      streamResetRate: limits.streamResetRate,
    },
    // The compatibility layer's objects are what Fastify expects of either protocol.
    handler as unknown as (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void,
  );
  h2.on("checkExpectation", handler);
  h2.on("connect", handler); // CONNECT gets our typed error, not Node's empty 405
  h2.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setTimeout(limits.idleTimeoutMs, () => session.destroy());
  });
  // Node destroys the session itself; without a listener it would take the process down.
  h2.on("sessionError", () => undefined);
  return { h2, sessions };
}

/** Reads until the first byte that differs from the HTTP/2 preface, or all of it; gives the bytes back to the socket and decides. */
function sniff(socket: Socket, timeoutMs: number, decide: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const giveUp = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(giveUp, timeoutMs);
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const matches = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (matches && length < PREFACE.length) return;
    stop();
    socket.unshift(seen);
    decide(matches);
  };
  const stop = (): void => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("error", giveUp);
    socket.off("end", giveUp);
    socket.off("close", stop);
  };
  socket.on("readable", onReadable);
  socket.on("error", giveUp);
  socket.on("end", giveUp);
  socket.on("close", stop);
}
