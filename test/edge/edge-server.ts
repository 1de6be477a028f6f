import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { pino } from "pino";
import { Registry } from "prom-client";
import { opsError } from "../../src/rpc/errors.ts";
import { callerOf } from "../../src/rpc/caller.ts";
import { HealthState } from "../../src/rpc/health.ts";
import { defaultLimits, type EdgeLimits } from "../../src/rpc/limits.ts";
import { localIdentity } from "../../src/rpc/local-identity.ts";
import { safeLogging } from "../../src/rpc/redact.ts";
import { startServer, type ServerOptions } from "../../src/server.ts";

/** The password that tests plant; it must be in no answer and in no log line. */
export const PASSWORD = "hunter2-Planted";

export const TOKENS = {
  admin: "admin-token-0123456789",
  viewer: "viewer-token-0123456789",
  duty: "duty-token-0123456789",
};

/** The port with a few handlers: enough to tell what reached them. */
export interface EdgeServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly registry: Registry;
  readonly health: HealthState;
  /** Every log line, as text. */
  readonly log: string[];
  /** Names of the handlers that were called, oldest first. */
  readonly handled: string[];
  /** The last request that a handler got. */
  lastRequest: Message | undefined;
  close(graceMs: number): Promise<void>;
}

export interface EdgeOptions {
  readonly limits?: Partial<EdgeLimits>;
  readonly reflection?: boolean;
  readonly logLevel?: string;
  readonly shutdownSignal?: AbortSignal;
}

export async function startEdge(options: EdgeOptions = {}): Promise<EdgeServer> {
  const log: string[] = [];
  const handled: string[] = [];
  const registry = new Registry();
  const health = new HealthState();
  const saw = (name: string, request: Message): void => {
    handled.push(name);
    edge.lastRequest = request;
  };
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    ...handlers(saw),
    identity: localIdentity([
      { principal: "local-admin", role: Role.ADMIN, token: TOKENS.admin },
      { principal: "local-viewer", role: Role.VIEWER, token: TOKENS.viewer },
      { principal: "local-duty", role: Role.DUTY, token: TOKENS.duty },
    ]),
    health,
    logger: pino({ level: options.logLevel ?? "debug", ...safeLogging }, { write: (line) => void log.push(line) }),
    registry,
    reflection: options.reflection ?? true,
    limits: { ...defaultLimits, ...options.limits },
    ...(options.shutdownSignal === undefined ? {} : { shutdownSignal: options.shutdownSignal }),
  });
  const edge: EdgeServer = {
    port: server.port,
    url: `http://127.0.0.1:${server.port}`,
    registry,
    health,
    log,
    handled,
    lastRequest: undefined,
    close: (graceMs) => server.close(graceMs),
    [Symbol.asyncDispose]: () => server.close(0),
  };
  return edge;
}

/** Operator ids that make a handler misbehave. */
function handlers(saw: (name: string, request: Message) => void): Pick<ServerOptions, "admin" | "mesh"> {
  return {
    admin: {
      async getOperator(request, context) {
        saw("getOperator", request);
        await misbehave(request.operatorId, context);
        return { operator: { id: request.operatorId, displayName: callerOf(context).actor.principal }, token: "t1" };
      },
      listOperators(request) {
        saw("listOperators", request);
        return { operators: [create(OperatorSchema, { id: "acme" })], token: "t2" };
      },
      createOperator(request) {
        saw("createOperator", request);
        return { operator: { id: request.operatorId }, token: "t3" };
      },
      updateOperator(request) {
        saw("updateOperator", request);
        return { token: "t4" };
      },
      setConnectionCredential(request) {
        saw("setConnectionCredential", request);
        return { token: "t5" };
      },
      deleteOperator(request) {
        saw("deleteOperator", request);
        return {};
      },
      verifyHistory(request) {
        saw("verifyHistory", request);
        return { valid: true };
      },
      async *watchOperators(request, context) {
        saw("watchOperators", request);
        yield* watch(request.filter, context);
      },
    },
    mesh: {
      async getOperator(request, context) {
        saw("getOperator", request);
        await misbehave(request.operatorId, context);
        return { operator: { id: request.operatorId }, token: "t1" };
      },
      getConnectionCredential(request) {
        saw("getConnectionCredential", request);
        return { secret: { credentialId: request.credentialId, password: PASSWORD } };
      },
      reportNodeStatus(request) {
        saw("reportNodeStatus", request);
        return { token: "t6" };
      },
      async *watchOperators(request, context) {
        saw("watchOperators", request);
        yield* watch(request.filter, context);
      },
    },
  };
}

async function misbehave(id: string, context: HandlerContext): Promise<void> {
  if (id === "bug") throw new TypeError(`cannot read ${PASSWORD.slice(0, 4)}`, { cause: { password: "x" } });
  if (id === "plain-connect") throw new ConnectError("an error of a library", Code.Unavailable);
  if (id === "typed") throw opsError(ErrorReason.OPERATOR_NOT_FOUND, "there is no operator typed");
  if (id === "hang") await new Promise(() => undefined); // not even the signal ends it
  if (id === "slow") {
    await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
    throw new Error("the slow handler was aborted");
  }
  if (id === "brief") await new Promise((resolve) => setTimeout(resolve, 200));
  if (id === "huge") throw opsError(ErrorReason.FIELD_INVALID, "x".repeat(5_000));
}

async function* watch(filter: string, { signal }: HandlerContext): AsyncIterable<object> {
  if (filter === "bug") throw new TypeError("the watch is broken");
  yield { message: { case: "bookmark", value: { token: "b1" } } };
  if (filter === "bug-later") throw new TypeError("the watch broke");
  if (filter === "end") return;
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
