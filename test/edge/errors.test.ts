import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { codeOf, infosOf, reasonOf, request, textOf } from "./answers.ts";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

let edge: EdgeServer;
beforeEach(async () => {
  edge = await startEdge();
});
afterEach(async () => {
  await edge[Symbol.asyncDispose]();
});

const headers = { authorization: `Bearer ${TOKENS.admin}`, "content-type": "application/json" };
const post = (method: string, body: unknown, more: Record<string, string> = {}) =>
  request(`${edge.url}/v1/admin/operators/ops.v1.OperatorAdminService/${method}`, {
    method: "POST",
    headers: { ...headers, ...more },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

/** The log lines about calls, once there are as many. */
async function callLines(count: number): Promise<Record<string, unknown>[]> {
  return vi.waitFor(() => {
    const lines = edge.log.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => "code" in line);
    expect(lines).toHaveLength(count);
    return lines;
  });
}

test("what a handler throws by mistake reaches the log once, with its cause and the request id, and never the caller", async () => {
  const answer = await post("GetOperator", { operatorId: "bug" }, { "x-request-id": "r-1" });
  expect({ status: answer.status, code: codeOf(answer), reason: reasonOf(answer) }).toEqual({
    status: 500,
    code: "internal",
    reason: "BUG",
  });
  expect(textOf(answer)).not.toContain("cannot read");
  const [line] = await callLines(1);
  expect(line).toMatchObject({
    level: 50,
    requestId: "r-1",
    method: "GetOperator",
    reason: "BUG",
    caller: "local-admin",
    cause: { type: "TypeError", message: expect.stringContaining("cannot read") as unknown },
  });
  expect(JSON.stringify(line)).toContain("edge-server.ts"); // the stack leads to the place
  expect(JSON.stringify(line)).not.toContain("password");
});

test("an untyped ConnectError of a library is a bug too", async () => {
  const answer = await post("GetOperator", { operatorId: "plain-connect" });
  expect(reasonOf(answer)).toBe("BUG");
  expect(textOf(answer)).not.toContain("library");
});

test("a typed error passes as it is, is logged once and not as an error of ours", async () => {
  const answer = await post("GetOperator", { operatorId: "typed" });
  expect({ status: answer.status, reason: reasonOf(answer) }).toEqual({ status: 404, reason: "OPERATOR_NOT_FOUND" });
  expect(await callLines(1)).toMatchObject([{ level: 30, code: "not_found", reason: "OPERATOR_NOT_FOUND" }]);
});

test("the details of a Connect error are readable without decoding", async () => {
  const answer = await post("ListOperators", { pageSize: 5000 });
  const { details } = JSON.parse(answer.body.toString()) as { details: { type: string; debug: unknown }[] };
  expect(details.map(({ type, debug }) => ({ type, debug }))).toEqual([
    {
      type: "google.rpc.ErrorInfo",
      debug: { reason: "FIELD_INVALID", domain: "ops.v1", metadata: { field: "page_size" } },
    },
    {
      type: "google.rpc.BadRequest",
      debug: { fieldViolations: [{ field: "page_size", description: "5000 is above 1000 (0 to 1000)" }] },
    },
  ]);
});

test("a long error that the client wants compressed stays typed", async () => {
  const unknown = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`unknown${index}`, index]));
  const answer = await post("GetOperator", unknown, { "accept-encoding": "gzip" });
  expect(reasonOf(answer)).toBe("FIELD_UNKNOWN");
  const handled = await post("GetOperator", { operatorId: "huge" }, { "accept-encoding": "gzip" });
  expect(reasonOf(handled)).toBe("FIELD_INVALID");
  expect(handled.error?.rawMessage.length).toBe(1_000);
});

test("what breaks in the middle of a stream is typed and hidden as well", async () => {
  const client = createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url }));
  const seen: unknown[] = [];
  const error = await (async () => {
    for await (const { message } of client.watchOperators({ filter: "bug-later" })) seen.push(message.case);
  })().catch((reason: unknown) => reason as ConnectError);
  expect(seen).toEqual(["bookmark"]);
  expect(error).toBeInstanceOf(ConnectError);
  expect(error?.code).toBe(Code.Internal);
  expect(error?.message).not.toContain("broke");
  expect(error?.findDetails(ErrorInfoSchema).map(({ reason }) => reason)).toEqual(["BUG"]);
  expect(await callLines(1)).toMatchObject([{ level: 50, cause: { message: "the watch broke" } }]);
});

test("every call is counted by service, method and code, those that reach no method too", async () => {
  await post("GetOperator", { operatorId: "acme" });
  await post("GetOperator", "{");
  await post("Nothing", "{}");
  await callLines(3);
  const metrics = await edge.registry.metrics();
  const service = 'service="ops.v1.OperatorAdminService",method="GetOperator"';
  expect(metrics).toContain(`ops_rpc_calls_total{${service},code="ok"} 1`);
  expect(metrics).toContain(`ops_rpc_calls_total{${service},code="invalid_argument"} 1`);
  expect(metrics).toContain('ops_rpc_calls_total{service="unknown",method="unknown",code="unimplemented"} 1');
  expect(metrics).toContain(`ops_rpc_duration_seconds_count{${service}} 2`);
  expect(metrics).toContain("ops_rpc_open_calls 0");
});

test("a caller who goes away is logged as such", async () => {
  const aborted = new AbortController();
  const call = createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url })).getOperator(
    { operatorId: "slow" },
    { signal: aborted.signal },
  );
  await vi.waitFor(() => expect(edge.handled).toEqual(["getOperator"]));
  aborted.abort();
  await expect(call).rejects.toThrow();
  expect(await callLines(1)).toMatchObject([{ level: 30, code: "canceled", reason: "CANCELLED" }]);
});

test("all violations are listed, and the text names the first", async () => {
  const answer = await post("SetConnectionCredential", { password: "a\tb" });
  expect(answer.error?.rawMessage).toBe("operator_id: is required (and 3 more)");
  expect(infosOf(answer)).toHaveLength(1);
});
