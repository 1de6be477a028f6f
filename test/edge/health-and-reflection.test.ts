import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "@operator-management/contract/grpc/health/v1/health_pb.js";
import {
  ServerReflection,
  type ServerReflectionRequest,
} from "@operator-management/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@operator-management/contract/grpc/reflection/v1alpha/reflection_pb.js";
import { ServerReflectionRequestSchema } from "@operator-management/contract/grpc/reflection/v1/reflection_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEdge, type EdgeServer } from "./edge-server.ts";

let edge: EdgeServer;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
});
const transport = () => createGrpcTransport({ baseUrl: edge.url });

test("health is answered for the process and each service, and follows the state", async () => {
  const health = createClient(Health, transport());
  expect((await health.check({})).status).toBe(Status.NOT_SERVING);
  edge.health.set(true);
  expect((await health.check({ service: "ops.v1.OperatorService" })).status).toBe(Status.SERVING);
  expect(Object.keys((await health.list({})).statuses).sort()).toEqual([
    "",
    "ops.v1.OperatorAdminService",
    "ops.v1.OperatorService",
  ]);
});

test("a health watch of an unknown service says so and stays open", async () => {
  const aborted = new AbortController();
  const watch = createClient(Health, transport()).watch({ service: "x" }, { signal: aborted.signal });
  const messages = watch[Symbol.asyncIterator]();
  expect((await messages.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
  aborted.abort();
  await expect(messages.next()).rejects.toThrow(ConnectError);
});

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;

async function ask(...questions: Question[]): Promise<unknown[]> {
  async function* requests(): AsyncIterable<ServerReflectionRequest> {
    for (const messageRequest of questions) yield create(ServerReflectionRequestSchema, { messageRequest });
  }
  const answers: unknown[] = [];
  for await (const { messageResponse } of createClient(ServerReflection, transport()).serverReflectionInfo(
    requests(),
  )) {
    answers.push(messageResponse);
  }
  return answers;
}

test("reflection lists what is served over gRPC, and nothing of the admins'", async () => {
  const [answer] = await ask({ case: "listServices", value: "" });
  const { value } = answer as { value: { service: { name: string }[] } };
  expect(value.service.map(({ name }) => name)).toEqual([
    "ops.v1.OperatorService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
});

test("a symbol leads to files that are complete by themselves, also for a method or a field", async () => {
  const answers = await ask(
    { case: "fileContainingSymbol", value: "ops.v1.OperatorService.GetOperator" },
    { case: "fileContainingSymbol", value: "ops.v1.Operator.display_name" },
    { case: "fileByFilename", value: "ops/v1/operator.proto" },
  );
  for (const answer of answers) {
    const { value } = answer as { value: { fileDescriptorProto: Uint8Array[] } };
    const files = new Map(
      value.fileDescriptorProto
        .map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
        .map((file) => [file.name, file]),
    );
    expect([...files.keys()]).toContain("ops/v1/operator.proto");
    const imported = [...files.values()].flatMap(({ dependency }) => dependency);
    expect(imported.filter((name) => !files.has(name))).toEqual([]);
  }
});

test("extensions are found by number, unknown things are said to be unknown", async () => {
  const answers = await ask(
    { case: "allExtensionNumbersOfType", value: "google.protobuf.MethodOptions" },
    {
      case: "fileContainingExtension",
      value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 50100 },
    },
    { case: "fileContainingSymbol", value: "ops.v1.Nothing" },
  );
  expect(answers).toMatchObject([
    { case: "allExtensionNumbersResponse", value: { extensionNumber: [50100] } },
    { case: "fileDescriptorResponse" },
    { case: "errorResponse", value: { errorCode: Code.NotFound } },
  ]);
});

test("the older version of the protocol is served as well", async () => {
  async function* requests(): AsyncIterable<{ messageRequest: { case: "listServices"; value: string } }> {
    yield { messageRequest: { case: "listServices", value: "" } };
  }
  const client = createClient(ServerReflectionAlpha, transport());
  for await (const { messageResponse } of client.serverReflectionInfo(requests())) {
    expect(messageResponse.case).toBe("listServicesResponse");
  }
});

test("reflection can be off", async () => {
  await using closed = await startEdge({ reflection: false });
  async function* requests(): AsyncIterable<object> {
    yield {};
  }
  const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: closed.url }));
  const error = await (async () => {
    for await (const _ of client.serverReflectionInfo(requests())) throw new Error("it answered");
  })().catch((reason: unknown) => reason as ConnectError);
  expect(ConnectError.from(error).code).toBe(Code.Unimplemented);
});
