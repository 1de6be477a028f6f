import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, MethodImpl, ServiceImpl } from "@connectrpc/connect";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import type { FastifyInstance } from "fastify";
import { deadline } from "./deadline.ts";
import type { Gate } from "./gate.ts";
import { decodeJsonText } from "./json-input.ts";
import type { Observer } from "./observe.ts";
import { ADMIN_PREFIX, type Side } from "./paths.ts";
import { compressions } from "./protocol-errors.ts";
import { serve, type ServeContext } from "./serve.ts";
import { validate } from "./validate.ts";

/** A handler whose method is known at run time only. */
type Handler = (request: never, context: HandlerContext) => unknown;

/** A method and what answers it. */
export interface Served {
  readonly method: DescMethod;
  readonly handler: Handler;
}

/** What both registrations share. */
export interface RpcContext extends ServeContext {
  readonly gate: Gate;
  readonly observer: Observer;
  /** Ends streams, with the error that says why. */
  readonly endStreams: AbortSignal;
  /** Ends everything that is still open. */
  readonly endCalls: AbortSignal;
}

/** The methods of a service that have a handler; the others don't exist here. */
export function served<S extends DescService>(service: S, handlers: Partial<ServiceImpl<S>>): Served[] {
  // Which handler belongs to which method is known by name only; ServiceImpl has seen to it that the types fit.
  const byName = handlers as Readonly<Record<string, Handler | undefined>>;
  return service.methods.flatMap((method) => {
    const handler = byName[method.localName];
    return handler === undefined ? [] : [{ method, handler: handler.bind(handlers) }];
  });
}

/**
 * Registers services on one side of the port: Connect under the admins' prefix, gRPC at the root, and no gRPC-Web anywhere. Each
 * registration has options objects of its own, because the plugin changes them.
 */
export function registerRpc(app: FastifyInstance, side: Side, methods: readonly Served[], context: RpcContext): void {
  const options: Parameters<typeof fastifyConnectPlugin>[1] = {
    ...protocolsOf(side),
    contextValues: context.gate.contextValues,
    routes(router) {
      for (const { method, handler } of methods) addMethod(router, method, handler, side, context);
      router.handlers.forEach((handler, index) => {
        router.handlers[index] = serve(handler, context);
      });
    },
  };
  void app.register(fastifyConnectPlugin, side === "admin" ? { ...options, prefix: ADMIN_PREFIX } : options);
}

function protocolsOf(side: Side): { connect: boolean; grpc: boolean; grpcWeb: boolean } {
  return { connect: side === "admin", grpc: side === "mesh", grpcWeb: false };
}

function addMethod(router: ConnectRouter, method: DescMethod, handler: Handler, side: Side, context: RpcContext): void {
  router.rpc(method, handler as MethodImpl<typeof method>, {
    ...protocolsOf(side),
    interceptors: [context.observer.interceptor, deadline, validate, context.observer.requestLog],
    acceptCompression: [...compressions],
    // Inside a cluster, compressing costs more than it saves, and a watch's frames would be compressed once per watcher.
    ...(side === "mesh" ? { compressMinBytes: Number.MAX_SAFE_INTEGER } : {}),
    readMaxBytes: context.side.readMaxBytes,
    writeMaxBytes: context.side.writeMaxBytes,
    shutdownSignal: method.methodKind === "unary" ? context.endCalls : context.endStreams,
    jsonOptions: jsonOptions(method),
  });
}

/** Connect reads JSON through the given decoder: the one place that all of its protocols and forms have in common. */
function jsonOptions(method: DescMethod): object {
  return {
    ignoreUnknownFields: false,
    textDecoder: { decode: (bytes: Uint8Array) => decodeJsonText(method.input, bytes) },
  };
}
