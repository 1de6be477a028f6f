import { once } from "node:events";
import http2 from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { GetOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterEach, expect, test } from "vitest";
import { codeOf, envelope, reasonOf, request, requestGrpc } from "./answers.ts";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

let edge: EdgeServer;
afterEach(async () => {
  await edge[Symbol.asyncDispose]();
});

const ask = (operatorId: string): Uint8Array =>
  envelope(toBinary(GetOperatorRequestSchema, create(GetOperatorRequestSchema, { operatorId })));
const getOperator = (operatorId: string, headers = {}) =>
  requestGrpc(edge.url, "/ops.v1.OperatorService/GetOperator", ask(operatorId), headers);
const post = (operatorId: string, headers: Record<string, string> = {}) =>
  request(`${edge.url}/v1/admin/operators/ops.v1.OperatorAdminService/GetOperator`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKENS.viewer}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ operatorId }),
  });

test("a call without a deadline gets one, even if its handler listens to nothing", async () => {
  edge = await startEdge({ limits: { defaultTimeoutMs: 50 } });
  for (const answer of [await getOperator("hang"), await post("hang"), await post("slow")]) {
    expect([codeOf(answer), reasonOf(answer)]).toEqual(["deadline_exceeded", "DEADLINE"]);
  }
});

test("the client's own deadline counts", async () => {
  edge = await startEdge();
  expect(reasonOf(await getOperator("hang", { "grpc-timeout": "50m" }))).toBe("DEADLINE");
  expect(reasonOf(await post("hang", { "connect-timeout-ms": "50" }))).toBe("DEADLINE");
});

test("a body that doesn't arrive in time ends the call", async () => {
  edge = await startEdge({ limits: { defaultTimeoutMs: 50 } });
  const session = http2.connect(edge.url);
  const stream = session.request({
    ":method": "POST",
    ":path": "/ops.v1.OperatorService/GetOperator",
    "content-type": "application/grpc",
  });
  stream.write(ask("acme").subarray(0, 3));
  const [trailers] = (await once(stream.resume(), "trailers")) as [http2.IncomingHttpHeaders];
  expect(trailers["grpc-status"]).toBe("4");
  expect(trailers["grpc-status-details-bin"]).toBeDefined();
  session.destroy();
});

test("methods that take long may take long", async () => {
  edge = await startEdge({ limits: { maxTimeoutMs: 100 } });
  const verify = (timeoutMs: number) =>
    request(`${edge.url}/v1/admin/operators/ops.v1.OperatorAdminService/VerifyHistory`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${TOKENS.viewer}`,
        "content-type": "application/json",
        "connect-timeout-ms": String(timeoutMs),
      },
      body: "{}",
    });
  expect((await verify(300_000)).status).toBe(200);
  expect(reasonOf(await verify(300_001))).toBe("FIELD_INVALID");
  expect(reasonOf(await post("acme", { "connect-timeout-ms": "101" }))).toBe("FIELD_INVALID");
});

test("a watch has no deadline but the client's", async () => {
  edge = await startEdge({ limits: { defaultTimeoutMs: 1, maxTimeoutMs: 1 } });
  const answer = await requestGrpc(edge.url, "/ops.v1.OperatorService/WatchOperators", envelope(new Uint8Array(0)), {
    "grpc-timeout": "200m",
  });
  expect(reasonOf(answer)).toBe("DEADLINE");
  expect(answer.body.length).toBeGreaterThan(0); // the bookmark came first
});
