import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { OperatorCatalog, opsReason } from "@operator-management/client";
import { createAdminClient, createMeshClient } from "@operator-management/client/node";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  GetOperatorRequestSchema,
  GetOperatorResponseSchema,
  type GetOperatorRequest,
  type GetOperatorResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestService, type TestService } from "../harness/service.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");

describe("every kind of client", () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService();
    await service.admin.createOperator({
      operatorId: "acme",
      operator: { displayName: "Acme", labels: { team: "red" } },
    });
  });
  afterAll(() => service[Symbol.asyncDispose]());

  const curl = async (...args: string[]): Promise<unknown> =>
    JSON.parse((await run("curl", ["-sS", "-H", `Authorization: Bearer ${service.adminToken}`, ...args])).stdout);
  const bufCurl = async (...args: string[]): Promise<string> => {
    const buf = join(ROOT, "node_modules/.bin/buf");
    return (await run(buf, ["curl", "--http2-prior-knowledge", "--protocol", "grpc", ...args])).stdout;
  };

  it("works with curl: Connect-JSON by POST", async () => {
    const url = `${service.url}/v1/admin/operators/ops.v1.OperatorAdminService/GetOperator`;
    const answer = await curl("-H", "Content-Type: application/json", url, "-d", '{"operatorId":"acme"}');
    expect(answer).toMatchObject({ operator: { id: "acme", displayName: "Acme" } });
  });

  it("works with curl: Connect-JSON by GET", async () => {
    const message = encodeURIComponent('{"operatorId":"acme"}');
    const method = `${service.url}/v1/admin/operators/ops.v1.OperatorAdminService/GetOperator`;
    const answer = await curl(`${method}?connect=v1&encoding=json&message=${message}`);
    expect(answer).toMatchObject({ operator: { id: "acme" } });
  });

  it("works with curl: the two read aliases", async () => {
    const url = `${service.url}/v1/admin/operators`;
    expect(await curl(`${url}/acme`)).toMatchObject({ operator: { id: "acme" } });
    const filter = encodeURIComponent("labels.team = red");
    expect(await curl(`${url}?filter=${filter}`)).toMatchObject({ operators: [{ id: "acme" }] });
    expect(await curl(`${url}?filter=${encodeURIComponent("labels.team = blue")}`)).not.toHaveProperty("operators");
  });

  it("works with buf curl over gRPC, by reflection", async () => {
    const methods = await bufCurl("--list-methods", service.url);
    expect(methods).toContain("ops.v1.OperatorService/WatchOperators");
    const answer = await bufCurl("-d", '{"operator_id":"acme"}', `${service.url}/ops.v1.OperatorService/GetOperator`);
    expect(JSON.parse(answer)).toMatchObject({ operator: { id: "acme" } });
  });

  it("works with @grpc/grpc-js, errors with their details included", async () => {
    const client = new grpc.Client(new URL(service.url).host, grpc.credentials.createInsecure());
    const call = (operatorId: string): Promise<GetOperatorResponse> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          "/ops.v1.OperatorService/GetOperator",
          (request: GetOperatorRequest) => Buffer.from(toBinary(GetOperatorRequestSchema, request)),
          (bytes) => fromBinary(GetOperatorResponseSchema, bytes),
          { $typeName: "ops.v1.GetOperatorRequest", operatorId },
          { deadline: Date.now() + 10_000 },
          (error, reply) => (reply === undefined ? reject(error ?? new Error("no reply")) : resolve(reply)),
        );
      });
    try {
      expect((await call("acme")).operator?.displayName).toBe("Acme");
      const error = await call("nobody").catch((caught: unknown) => caught as grpc.ServiceError);
      expect(error).toMatchObject({ code: grpc.status.NOT_FOUND });
      const [details] = (error as grpc.ServiceError).metadata.get("grpc-status-details-bin");
      expect(details?.toString()).toContain("OPERATOR_NOT_FOUND");
    } finally {
      client.close();
    }
  });

  it("works with the SDK: a write is seen by a catalog that waits for its token", async () => {
    const admin = createAdminClient({ baseUrl: service.url, tokenFile: join(service.dataDir, "admin-token") });
    await using catalog = await OperatorCatalog.start({ client: createMeshClient({ baseUrl: service.url }) });
    expect(catalog.operator("acme")?.displayName).toBe("Acme");
    const { token } = await admin.updateOperator({ operatorId: "acme", operator: { displayName: "Acme Germany" } });
    await catalog.waitFor(token);
    expect(catalog.operator("acme")?.displayName).toBe("Acme Germany");
    const refused = await admin.getOperator({ operatorId: "nobody" }).catch((error: unknown) => error);
    expect(opsReason(refused)).toBe(ErrorReason.OPERATOR_NOT_FOUND);
  });
});
