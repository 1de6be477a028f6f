import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@operator-management/contract/google/rpc/error_details_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  OperatorService,
  type WatchOperatorsRequest,
  type WatchOperatorsResponseSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";

/** One watch as the script of a test sees it. */
export interface WatchCall {
  readonly request: WatchOperatorsRequest;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

type WatchMessage = MessageInitShape<typeof WatchOperatorsResponseSchema>;

/** What the n-th watch sends (n from 0); the last one serves all later watches too. */
export type WatchScript = (call: WatchCall) => AsyncIterable<WatchMessage>;

/** A server on a real socket whose answers a test writes. */
export interface MeshServer extends AsyncDisposable {
  readonly baseUrl: string;
  /** The watches begun so far, in order. */
  readonly watches: WatchCall[];
  /** Breaks every connection, as a killed server does. */
  cut(): void;
  close(): Promise<void>;
}

/** Starts a server with these watches and other methods. `port`: to start again where one was before. */
export async function startMeshServer(options: {
  readonly watches?: readonly WatchScript[];
  readonly mesh?: Partial<ServiceImpl<typeof OperatorService>>;
  readonly admin?: Partial<ServiceImpl<typeof OperatorAdminService>>;
  readonly port?: number;
}): Promise<MeshServer> {
  const { watches: scripts = [], mesh, admin } = options;
  const watches: WatchCall[] = [];
  async function* watchOperators(
    request: WatchOperatorsRequest,
    { signal }: HandlerContext,
  ): AsyncGenerator<WatchMessage> {
    const call = { request, signal };
    const script = scripts[watches.push(call) - 1] ?? scripts.at(-1);
    if (script === undefined) throw new ConnectError("this test has no watch", Code.Unimplemented);
    yield* script(call);
  }
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(OperatorService, { watchOperators, ...mesh });
      if (admin !== undefined) router.service(OperatorAdminService, admin);
    },
  });
  const server: Http2Server = createServer((request, response) => handler(request, response));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => sessions.forEach((session) => session.destroy());
  const close = async (): Promise<void> => {
    cut();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  const { port } = server.address() as AddressInfo;
  return { baseUrl: `http://127.0.0.1:${port}`, watches, cut, close, [Symbol.asyncDispose]: close };
}

/** An error as the service sends it. */
export function serviceError(
  code: Code,
  reason: string,
  details: { readonly field?: string; readonly retryMs?: number } = {},
): ConnectError {
  const error = new ConnectError(reason.toLowerCase(), code);
  const add = <D extends DescMessage>(desc: D, value: MessageInitShape<D>): void => {
    error.details.push({ desc, value: create(desc, value) as never });
  };
  add(ErrorInfoSchema, { reason, domain: "ops.v1", metadata: { note: "n" } });
  if (details.field !== undefined) {
    add(BadRequestSchema, { fieldViolations: [{ field: details.field, description: "is wrong" }] });
  }
  if (details.retryMs !== undefined) add(RetryInfoSchema, { retryDelay: durationFromMs(details.retryMs) });
  return error;
}
