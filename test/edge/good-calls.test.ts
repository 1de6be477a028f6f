import { gzipSync } from "node:zlib";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { toBinary, fromBinary, create } from "@bufbuild/protobuf";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  GetOperatorRequestSchema,
  GetOperatorResponseSchema,
  ListOperatorsRequestSchema,
  OperatorService,
  type GetOperatorRequest,
  type GetOperatorResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestH2 } from "./answers.ts";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

const ADMIN = "/v1/admin/operators";
const bearer = { authorization: `Bearer ${TOKENS.viewer}` };

let edge: EdgeServer;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
});

test("Connect-JSON by POST answers with the token and the request id in headers, never to be stored", async () => {
  const response = await fetch(`${edge.url}${ADMIN}/ops.v1.OperatorAdminService/GetOperator`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json", "x-request-id": "my-request-1" },
    body: '{"operatorId":"acme"}',
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ operator: { id: "acme", displayName: "local-viewer" }, token: "t1" });
  expect(response.headers.get("ops-token")).toBe("t1");
  expect(response.headers.get("x-request-id")).toBe("my-request-1");
  expect(response.headers.get("cache-control")).toBe("no-store");
});

test("a request id that could forge a log line is replaced", async () => {
  const response = await fetch(`${edge.url}${ADMIN}`, { headers: { ...bearer, "x-request-id": 'a" b' } });
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("Connect-JSON by GET works for reads", async () => {
  const message = encodeURIComponent('{"operatorId":"acme"}');
  const url = `${edge.url}${ADMIN}/ops.v1.OperatorAdminService/GetOperator?connect=v1&encoding=json&message=${message}`;
  expect(await (await fetch(url, { headers: bearer })).json()).toMatchObject({ operator: { id: "acme" } });
});

test("GET of the prefix lists, with query parameters as fields", async () => {
  const url = `${edge.url}${ADMIN}?filter=kind%20%3D%20MNO&page_size=7&order_by=id&show_deleted=true&page_token=p`;
  expect(await (await fetch(url, { headers: bearer })).json()).toMatchObject({ operators: [{ id: "acme" }] });
  expect(edge.lastRequest).toEqual(
    create(ListOperatorsRequestSchema, {
      filter: "kind = MNO",
      pageSize: 7,
      orderBy: "id",
      showDeleted: true,
      pageToken: "p",
    }),
  );
});

test("GET of an id below the prefix gets that operator", async () => {
  const response = await fetch(`${edge.url}${ADMIN}/acme`, { headers: bearer });
  expect(await response.json()).toMatchObject({ operator: { id: "acme" } });
  expect(response.headers.get("ops-token")).toBe("t1");
});

test("Connect works over HTTP/2 without TLS too, as behind a sidecar", async () => {
  const headers = { ":path": `${ADMIN}/acme`, ...bearer };
  const answer = await requestH2(edge.url, headers, undefined);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ operator: { id: "acme" } });
});

test("a Connect client streams a watch, in JSON and in binary, over HTTP/1.1", async () => {
  for (const useBinaryFormat of [true, false]) {
    const transport = createConnectTransport({
      baseUrl: edge.url + ADMIN,
      httpVersion: "1.1",
      useBinaryFormat,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", bearer.authorization);
          return next(request);
        },
      ],
    });
    const tokens: unknown[] = [];
    for await (const { message } of createClient(OperatorAdminService, transport).watchOperators({ filter: "end" })) {
      tokens.push(message.value?.token);
    }
    expect(tokens).toEqual(["b1"]);
  }
});

test("a Connect-ES gRPC client calls the mesh service", async () => {
  const client = createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url }));
  expect((await client.getOperator({ operatorId: "acme" })).operator?.id).toBe("acme");
});

test("@grpc/grpc-js calls the mesh service", async () => {
  const client = new grpc.Client(`127.0.0.1:${edge.port}`, grpc.credentials.createInsecure());
  const reply = await new Promise<GetOperatorResponse>((resolve, reject) => {
    client.makeUnaryRequest<GetOperatorRequest, GetOperatorResponse>(
      "/ops.v1.OperatorService/GetOperator",
      (request) => Buffer.from(toBinary(GetOperatorRequestSchema, request)),
      (bytes) => fromBinary(GetOperatorResponseSchema, bytes),
      create(GetOperatorRequestSchema, { operatorId: "acme" }),
      (error, value) => (value === undefined ? reject(error ?? new Error("neither")) : resolve(value)),
    );
  });
  client.close();
  expect(reply.operator?.id).toBe("acme");
});

test("a compressed request is understood", async () => {
  const response = await fetch(`${edge.url}${ADMIN}/ops.v1.OperatorAdminService/GetOperator`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json", "content-encoding": "gzip" },
    body: gzipSync('{"operatorId":"acme"}'),
  });
  expect(response.status).toBe(200);
});
