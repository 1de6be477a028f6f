import { readFile } from "node:fs/promises";
import * as net from "node:net";
import * as tls from "node:tls";
import type { SecureClientSessionOptions } from "node:http2";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { background } from "./background.ts";

const ADMIN_PATH = "/v1/admin/operators";
const CONNECT_TIMEOUT_MS = 5_000;
/** A silent connection is probed, so that one that died without a word isn't used for minutes. */
const PING = { pingIntervalMs: 15_000, pingTimeoutMs: 5_000 };

/** Where the mesh's service is. */
export interface MeshTransportOptions {
  /** `http://…` for HTTP/2 without TLS (inside a mesh, or on this machine), `https://…` with it. */
  readonly baseUrl: string;
  /** TLS: authorities, client certificate and so on, as in `http2.connect`. */
  readonly tls?: SecureClientSessionOptions;
}

/** Where the admin service is, and as whom to call it. */
export interface AdminTransportOptions {
  /** The service's address without the path `/v1/admin/operators`. */
  readonly baseUrl: string;
  /** The bearer token, or a function that is asked for it at each call. */
  readonly token?: string | (() => string | Promise<string>);
  /** A file with the token, read at each call: a rotated one is used at once. */
  readonly tokenFile?: string;
}

/** gRPC to the mesh's service. An open watch of a catalog on it doesn't keep the process alive; calls that somebody waits for do. */
export function meshTransport(options: MeshTransportOptions): Transport {
  const foreground = grpcTransport(options, (manager) => manager);
  const unheld = grpcTransport(options, releasing);
  return {
    unary(method, signal, timeoutMs, header, input, values) {
      const transport = values?.get(background) === true ? unheld : foreground;
      return transport.unary(method, signal, timeoutMs, header, input, values);
    },
    stream(method, signal, timeoutMs, header, input, values) {
      const transport = values?.get(background) === true ? unheld : foreground;
      return transport.stream(method, signal, timeoutMs, header, input, values);
    },
  };
}

/** Connect (binary, HTTP/1.1) to the admin service under `/v1/admin/operators`. Without a token the service answers TOKEN_MISSING. */
export function adminTransport(options: AdminTransportOptions): Transport {
  return createConnectTransport({
    baseUrl: options.baseUrl.replace(/\/+$/, "") + ADMIN_PATH,
    httpVersion: "1.1",
    interceptors: [bearer(options)],
  });
}

type SessionManager = NonNullable<Parameters<typeof createGrpcTransport>[0]["sessionManager"]>;

function grpcTransport(
  options: MeshTransportOptions,
  hold: (manager: Http2SessionManager) => SessionManager,
): Transport {
  const { baseUrl } = options;
  const manager = new Http2SessionManager(baseUrl, PING, { ...options.tls, createConnection: connector(options) });
  return createGrpcTransport({ baseUrl, sessionManager: hold(manager) });
}

/** A session manager whose open streams don't keep the process alive: the manager itself holds the session while it has any. */
function releasing(manager: Http2SessionManager): SessionManager {
  return {
    authority: manager.authority,
    async request(...args) {
      const stream = await manager.request(...args);
      stream.session?.unref();
      return stream;
    },
    notifyResponseByteRead: (stream) => manager.notifyResponseByteRead(stream),
  };
}

/** As http2.connect opens sockets, but gives up on an address that doesn't answer long before the operating system does. */
function connector(options: MeshTransportOptions): (authority: URL) => net.Socket {
  return (authority) => {
    const secure = authority.protocol === "https:";
    const host = authority.hostname.replace(/^\[|\]$/g, "");
    const port = authority.port === "" ? (secure ? 443 : 80) : Number(authority.port);
    const servername = net.isIP(host) === 0 ? { servername: host } : {};
    const socket = secure
      ? tls.connect({ ...servername, ...options.tls, host, port, ALPNProtocols: ["h2"] })
      : net.connect({ host, port });
    const giveUp = (): void => {
      socket.destroy(Object.assign(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`), { code: "ETIMEDOUT" }));
    };
    const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
    const done = (): void => clearTimeout(timer);
    socket.once(secure ? "secureConnect" : "connect", done).once("close", done);
    return socket;
  };
}

function bearer({ token, tokenFile }: AdminTransportOptions): Interceptor {
  return (next) => async (request) => {
    const value =
      tokenFile !== undefined ? await readToken(tokenFile) : typeof token === "function" ? await token() : token;
    if (value !== undefined) request.header.set("authorization", `Bearer ${checked(value)}`);
    return next(request);
  };
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new ConnectError(
      `the token file ${file} can't be read: ${code}`,
      Code.Unauthenticated,
      undefined,
      undefined,
      error,
    );
  }
}

/** Headers quotes what it refuses, so a text that can't be a token is refused here. */
function checked(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new ConnectError("the admin token is empty or has characters that no token has", Code.Unauthenticated);
}
