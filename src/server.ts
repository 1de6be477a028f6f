import type { AddressInfo } from "node:net";
import { setMaxListeners } from "node:events";
import type { ServiceImpl } from "@connectrpc/connect";
import { Health } from "@operator-management/contract/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@operator-management/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@operator-management/contract/grpc/reflection/v1alpha/reflection_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { answerBrokenHttp } from "./rpc/broken-http.ts";
import { opsError } from "./rpc/errors.ts";
import { Gate } from "./rpc/gate.ts";
import { healthHandlers, type HealthState } from "./rpc/health.ts";
import type { Identity } from "./rpc/identity.ts";
import { defaultLimits, Places, type EdgeLimits } from "./rpc/limits.ts";
import { createObserver } from "./rpc/observe.ts";
import { createOnePort, type OnePort } from "./rpc/one-port.ts";
import { aliasTarget, noSuchPath, pathOf, pathProblem, sideOf } from "./rpc/paths.ts";
import { reflectionHandlers } from "./rpc/reflection.ts";
import { registerRpc, served, type RpcContext, type Served } from "./rpc/rpc-routes.ts";

/** What the port serves, and to whom. */
export interface ServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Methods of the admin service; one without a handler doesn't exist. */
  readonly admin: Partial<ServiceImpl<typeof OperatorAdminService>>;
  /** Methods of the mesh service. */
  readonly mesh: Partial<ServiceImpl<typeof OperatorService>>;
  readonly identity: Identity;
  /** What grpc.health.v1 says; `close` sets it to not serving. */
  readonly health: HealthState;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Whether mesh callers may ask what is served. */
  readonly reflection: boolean;
  /** Ends all streams and refuses new calls once aborted; `close` does the same by itself. */
  readonly shutdownSignal?: AbortSignal;
  readonly limits?: EdgeLimits;
}

/** The listening port. */
export interface RunningServer {
  readonly port: number;
  /**
   * Refuses new calls, ends streams with SHUTTING_DOWN, lets unary calls finish for at most this long, then destroys what is still open.
   * Calling it again waits for the same end.
   */
  close(graceMs: number): Promise<void>;
}

/** Starts the one port. @throws the listen error, e.g. EADDRINUSE */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const limits = options.limits ?? defaultLimits;
  const shutdown = createShutdown(options.shutdownSignal);
  const observer = createObserver(options.logger, options.registry);
  const gate = new Gate({
    identity: options.identity,
    limits,
    observer,
    logger: options.logger,
    isClosing: () => shutdown.streams.signal.aborted,
  });
  const { app, port } = createApp(limits);
  const shared = {
    gate,
    limits,
    observer,
    calls: new Places(),
    streams: new Places(),
    anonymousStreams: new Places(),
    endStreams: shutdown.streams.signal,
    endCalls: shutdown.calls.signal,
  } satisfies Partial<RpcContext>;

  app.addHook("onRequest", gate.enter);
  app.setErrorHandler(gate.refuse);
  const methods = methodsOf(options);
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const side = sideOf(path);
    const known = methods[side].map(({ method }) => method);
    return gate.refuse(noSuchPath(side, request.method, path, known), request, reply);
  });
  registerRpc(app, "admin", methods.admin, { ...shared, side: limits.admin });
  registerRpc(app, "mesh", methods.mesh, { ...shared, side: limits.mesh });

  await app.ready();
  await listen(port, options);
  let closing: Promise<void> | undefined;
  return {
    port: (port.server.address() as AddressInfo).port,
    close: (graceMs) => (closing ??= close(options, { app, port, gate, shutdown }, graceMs)),
  };
}

function methodsOf(options: ServerOptions): { admin: Served[]; mesh: Served[] } {
  const { v1, v1alpha } = reflectionHandlers([OperatorService, Health]);
  return {
    admin: served(OperatorAdminService, options.admin),
    mesh: [
      ...served(OperatorService, options.mesh),
      ...served(Health, healthHandlers(options.health)),
      ...(options.reflection ? [...served(ServerReflection, v1), ...served(ServerReflectionAlpha, v1alpha)] : []),
    ],
  };
}

/** Fastify for routing, on a server of ours; it parses no body and logs nothing. */
function createApp(limits: EdgeLimits): { app: FastifyInstance; port: OnePort } {
  let port: OnePort | undefined;
  const app = Fastify({
    logger: false,
    serverFactory: (handler) => {
      port = createOnePort(handler, limits.connection);
      return port.server;
    },
    clientErrorHandler: (error, socket) => answerBrokenHttp(error, socket, limits.connection.maxHeaderBytes),
    // Refused paths lead nowhere: the gate, which sees the URL as it came, says why.
    rewriteUrl: (request) => {
      const url = request.url ?? "/";
      return pathProblem(url) === undefined ? (aliasTarget(request.method, url) ?? url) : "/";
    },
    return503OnClosing: false,
    exposeHeadRoutes: false,
  });
  // Without a listener, CONNECT would be answered by a closed connection.
  app.server.on("connect", (_request, socket) => {
    answerBrokenHttp(new Error("CONNECT is not served"), socket, limits.connection.maxHeaderBytes);
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null, undefined));
  if (port === undefined) throw new Error("Fastify made no server");
  return { app, port };
}

async function listen({ server }: OnePort, address: { readonly host: string; readonly port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

interface Shutdown {
  /** Aborted first: no new calls, and streams end. */
  readonly streams: AbortController;
  /** Aborted when the grace is over. */
  readonly calls: AbortController;
}

function createShutdown(signal: AbortSignal | undefined): Shutdown {
  const shutdown = { streams: new AbortController(), calls: new AbortController() };
  // Every open call listens to one of them.
  setMaxListeners(0, shutdown.streams.signal, shutdown.calls.signal);
  const begin = (): void => shutdown.streams.abort(shuttingDown());
  if (signal?.aborted === true) begin();
  signal?.addEventListener("abort", begin, { once: true });
  return shutdown;
}

function shuttingDown(): Error {
  return opsError(ErrorReason.SHUTTING_DOWN, "this replica is shutting down; call again, another one takes over", {
    retryAfterMs: 1_000,
  });
}

async function close(
  { health }: ServerOptions,
  { app, port, gate, shutdown }: { app: FastifyInstance; port: OnePort; gate: Gate; shutdown: Shutdown },
  graceMs: number,
): Promise<void> {
  health.set(false);
  shutdown.streams.abort(shuttingDown());
  port.closeGracefully();
  await Promise.race([gate.idle, delay(graceMs)]);
  shutdown.calls.abort(shuttingDown());
  // One turn for the answers that the abort leads to.
  await Promise.race([gate.idle, delay(LAST_WORDS_MS)]);
  port.destroy();
  await port.closed;
  await app.close();
}

/** For the answers of calls that were cut off when the grace was over, in milliseconds. */
const LAST_WORDS_MS = 250;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
