import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { encodeToken } from "@operator-management/client";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  OperatorService,
  type ReportNodeStatusRequest,
  type WatchOperatorsRequest,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { onTestFinished } from "vitest";
import { acme, uid } from "./harness.ts";

/** The mesh's service with one operator, `acme-de`, whose state the test writes. Real gRPC on a real socket. */
export interface MeshService {
  readonly url: string;
  readonly reports: readonly ReportNodeStatusRequest[];
  /** The health reports in the order in which they came. */
  readonly health: readonly HealthReport[];
  /** From now on this credential can't be had. */
  withhold(credentialId: string): void;
  /** How often one was asked for that can't be had. */
  refusals(): number;
  /** How often a watch began, and with a token or without. */
  readonly watches: readonly { readonly resumed: boolean }[];
  /** A new revision with these connections. Returns its token. */
  publish(connections: Record<string, Connection>, operatorUid?: string): string;
  /** Breaks every connection and refuses new ones, as a killed service does, until `comeBack`. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
}

/** Serves credentials by id; what isn't listed is the simulator's own password. */
export async function runMesh(passwords: Readonly<Record<string, string>> = {}): Promise<MeshService> {
  const reports: ReportNodeStatusRequest[] = [];
  const health: HealthReport[] = [];
  const watches: { resumed: boolean }[] = [];
  const withheld = new Set<string>();
  let refusals = 0;
  let operator: Operator | undefined;
  let revision = 0;
  let changed = Promise.withResolvers<void>();
  const token = (): string =>
    encodeToken(
      { store: new Uint8Array(16), revision: BigInt(revision), fingerprint: new Uint8Array(32) },
      new Uint8Array(8),
    );
  const upsert = () => (operator ? [{ event: { case: "upsert" as const, value: operator } }] : []);

  async function* watchOperators(request: WatchOperatorsRequest, { signal }: HandlerContext) {
    watches.push({ resumed: request.startToken !== "" });
    const gone = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    let sent = request.startToken;
    if (request.initialSnapshot) {
      sent = token();
      yield { message: { case: "changes" as const, value: { events: upsert() } } };
      yield { message: { case: "bookmark" as const, value: { token: sent, initialComplete: true } } };
    } else {
      yield { message: { case: "bookmark" as const, value: { token: sent } } };
    }
    while (!signal.aborted) {
      const next = changed.promise;
      if (sent === token()) await Promise.race([next, gone]);
      if (signal.aborted) return;
      sent = token();
      yield { message: { case: "changes" as const, value: { events: upsert(), token: sent } } };
    }
  }

  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(OperatorService, {
        watchOperators,
        getConnectionCredential: ({ credentialId }) => {
          if (withheld.has(credentialId)) {
            refusals += 1;
            throw new ConnectError("the secret store is away", Code.FailedPrecondition);
          }
          const password = passwords[credentialId] ?? acme.password;
          return { secret: { credentialId, systemId: acme.systemId, password } };
        },
        reportNodeStatus: (request) => {
          reports.push(request);
          return { token: token() };
        },
        reportHealth: (request) => {
          health.push(...request.reports);
          return {};
        },
        getOperator: () => {
          throw new ConnectError("not served in this test", Code.Unimplemented);
        },
      }),
  });
  const sessions = new Set<ServerHttp2Session>();
  let port = 0;
  const listen = async () => {
    const server = createServer(handler);
    server.on("session", (session) => sessions.add(session.on("close", () => sessions.delete(session))));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    return server;
  };
  let server = await listen();
  const goAway = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const session of sessions) session.destroy();
    await closed;
  };
  onTestFinished(goAway);
  return {
    url: `http://127.0.0.1:${port}`,
    reports,
    withhold: (credentialId) => void withheld.add(credentialId),
    refusals: () => refusals,
    health,
    watches,
    publish: (connections, operatorUid = uid) => {
      operator = create(OperatorSchema, { id: "acme-de", uid: operatorUid, connections });
      revision += 1;
      changed.resolve();
      changed = Promise.withResolvers();
      return token();
    },
    goAway,
    comeBack: async () => {
      server = await listen();
    },
  };
}
