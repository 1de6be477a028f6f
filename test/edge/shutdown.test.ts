import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { createClient, type ConnectError } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "@operator-management/contract/grpc/health/v1/health_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { expect, test, vi } from "vitest";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

const meshClient = (edge: EdgeServer) => createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url }));
const reasonOf = (error: unknown): string | undefined =>
  (error as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason;

test("streams end with SHUTTING_DOWN, calls in flight finish, then the port is free", async () => {
  const edge = await startEdge();
  const client = meshClient(edge);
  const messages = client.watchOperators({})[Symbol.asyncIterator]();
  await messages.next();
  const streamEnd = messages.next().catch((error: unknown) => error);
  const brief = client.getOperator({ operatorId: "brief" });
  await vi.waitFor(() => expect(edge.handled).toContain("getOperator"));
  const closed = edge.close(10_000);
  expect(reasonOf(await streamEnd)).toBe("SHUTTING_DOWN");
  expect((await brief).operator?.id).toBe("brief");
  await closed;
  await expect(fetch(edge.url)).rejects.toThrow();
});

test("a call that outlasts the grace is ended with SHUTTING_DOWN, even if its handler hangs", async () => {
  const edge = await startEdge();
  const hanging = meshClient(edge)
    .getOperator({ operatorId: "hang" })
    .catch((error: unknown) => error);
  await vi.waitFor(() => expect(edge.handled).toHaveLength(1));
  await edge.close(20);
  expect(reasonOf(await hanging)).toBe("SHUTTING_DOWN");
});

test("HTTP/2 clients are told to go away", async () => {
  const edge = await startEdge();
  const session = http2.connect(edge.url);
  await once(session, "remoteSettings");
  const goaway = once(session, "goaway");
  const closed = edge.close(10_000);
  await goaway;
  await closed;
});

test("a new call on an open HTTP/1 connection is refused, and the connection closed", async () => {
  const edge = await startEdge();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const get = async (
    path: string,
  ): Promise<{ status: number | undefined; connection: string | undefined; body: string }> => {
    const request = http.get(edge.url + path, { agent, headers: { authorization: `Bearer ${TOKENS.viewer}` } });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    let body = "";
    for await (const chunk of response) body += String(chunk);
    return { status: response.statusCode, connection: response.headers.connection, body };
  };
  const brief = get("/v1/admin/operators/brief");
  const queued = get("/v1/admin/operators"); // waits for the connection
  await vi.waitFor(() => expect(edge.handled).toHaveLength(1));
  const closed = edge.close(10_000);
  expect((await brief).status).toBe(200);
  const refused = await queued.catch((error: unknown) => error as Error);
  // Node may close the connection right after the first answer; if it doesn't, the second one says why.
  if (!(refused instanceof Error)) {
    expect(refused).toMatchObject({ status: 503, connection: "close" });
    expect(refused.body).toContain("SHUTTING_DOWN");
  }
  await closed;
});

test("the shutdown signal alone ends streams and refuses calls, and leaves the port open", async () => {
  const shutdown = new AbortController();
  await using edge = await startEdge({ shutdownSignal: shutdown.signal });
  const client = meshClient(edge);
  const messages = client.watchOperators({})[Symbol.asyncIterator]();
  await messages.next();
  shutdown.abort();
  expect(reasonOf(await messages.next().catch((error: unknown) => error))).toBe("SHUTTING_DOWN");
  expect(reasonOf(await client.getOperator({ operatorId: "acme" }).catch((error: unknown) => error))).toBe(
    "SHUTTING_DOWN",
  );
});

test("those who watch the health are told first", async () => {
  const edge = await startEdge();
  edge.health.set(true);
  const health = createClient(Health, createGrpcTransport({ baseUrl: edge.url }));
  const messages = health.watch({})[Symbol.asyncIterator]();
  expect((await messages.next()).value).toMatchObject({ status: Status.SERVING });
  const next = messages.next();
  edge.health.set(false);
  expect((await next).value).toMatchObject({ status: Status.NOT_SERVING });
  await edge.close(1_000);
});

test("closing twice is closing once", async () => {
  const edge = await startEdge();
  await Promise.all([edge.close(1_000), edge.close(1_000)]);
});
