import { create, getOption, hasOption } from "@bufbuild/protobuf";
import { access, Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { describe, expect, test } from "vitest";
import { authorize, meshNamespaces } from "../../src/rpc/access.ts";
import type { Caller } from "../../src/rpc/caller.ts";
import { localIdentity } from "../../src/rpc/local-identity.ts";
import { envelope, infosOf, reasonOf, request, requestGrpc, requestRaw } from "./answers.ts";
import { startEdge, TOKENS } from "./edge-server.ts";

const caller = (roles: Role[], namespaces: string[] = []): Caller => ({
  actor: create(ActorSchema, { principal: "p", kind: Actor_Kind.ADMIN }),
  roles: new Set(roles),
  namespaces: new Set(namespaces),
});

describe("access, from the contract", () => {
  test("every method has a rule that names somebody", () => {
    for (const method of [...OperatorAdminService.methods, ...OperatorService.methods]) {
      const rule = hasOption(method, access) ? getOption(method, access) : undefined;
      expect([...(rule?.namespaces ?? []), ...(rule?.roles ?? [])], method.name).not.toEqual([]);
    }
  });

  test("a method without a rule is denied to everybody, admins included", () => {
    const { getOperator } = OperatorAdminService.method;
    const bare = { ...getOperator, proto: { ...getOperator.proto, options: undefined } } as never;
    expect(() => authorize(bare, caller([Role.ADMIN]))).toThrow(/may not be called/);
    expect(() => authorize(bare, caller([], ["smpp-connector"]))).toThrow(/may not be called/);
  });

  test("every role implies viewer, admin implies all, no other implies another", () => {
    const { getOperator, createOperator, changeAdminState, setConnectionCredential, deleteOperator } =
      OperatorAdminService.method;
    const mayCall = (role: Role): string[] =>
      [getOperator, createOperator, changeAdminState, setConnectionCredential, deleteOperator]
        .filter((method) => {
          try {
            authorize(method, caller([role]));
            return true;
          } catch {
            return false;
          }
        })
        .map(({ name }) => name);
    expect(mayCall(Role.VIEWER)).toEqual(["GetOperator"]);
    expect(mayCall(Role.DUTY)).toEqual(["GetOperator", "ChangeAdminState"]);
    expect(mayCall(Role.EDITOR)).toEqual(["GetOperator", "CreateOperator"]);
    expect(mayCall(Role.CREDENTIAL_MANAGER)).toEqual(["GetOperator", "SetConnectionCredential"]);
    expect(mayCall(Role.ADMIN)).toHaveLength(5);
    expect(mayCall(Role.UNSPECIFIED)).toEqual([]);
  });

  test("secrets are for the connectors' namespace alone", () => {
    const { getConnectionCredential, getOperator } = OperatorService.method;
    expect(() => authorize(getConnectionCredential, caller([], ["routing-engine"]))).toThrow(/routing-engine/);
    expect(() => authorize(getConnectionCredential, caller([Role.ADMIN]))).toThrow(/needs the role|may not/);
    authorize(getConnectionCredential, caller([], ["smpp-connector"]));
    authorize(getOperator, caller([], ["routing-engine"]));
  });

  test("the mesh's namespaces are those that the contract names", () => {
    expect([...meshNamespaces].sort()).toEqual(["routing-engine", "smpp-connector"]);
  });
});

describe("a mesh caller of the embedded profile", () => {
  const identity = localIdentity([]);
  const from = (remoteAddress: string | undefined, authority: string | undefined, isGrpc = true) =>
    identity.meshCaller({ remoteAddress, authority, isGrpc, headers: { "x-forwarded-for": "127.0.0.1" } });

  test.each([
    ["127.0.0.1", "localhost"],
    ["127.8.8.8", "LOCALHOST:3020"],
    ["::1", "[::1]:3020"],
    ["::ffff:127.0.0.1", "127.0.0.1:3020"],
  ])("is one that comes from %s and asks for %s", async (address, authority) => {
    expect((await from(address, authority)).actor).toMatchObject({ principal: "local-mesh", source: address });
  });

  test.each([
    ["10.0.0.7", "localhost"],
    ["::ffff:10.0.0.7", "localhost"],
    [undefined, "localhost"],
    ["127.0.0.1", undefined],
    ["127.0.0.1", ""],
    ["127.0.0.1", "localhost.evil.example"],
    ["127.0.0.1", "127.0.0.1.nip.io:3020"],
    ["127.0.0.1", "evil@localhost"],
    ["127.0.0.1", "localhost:3020x"],
    ["127.0.0.1", "0.0.0.0"],
  ])("is none that comes from %s and asks for %s", (address, authority) => {
    expect(() => from(address, authority)).toThrow();
  });

  test("is none that doesn't speak gRPC", () => {
    expect(() => from("127.0.0.1", "localhost", false)).toThrow(/gRPC/);
  });
});

test("a token that is too short to be one is refused at the start", () => {
  expect(() => localIdentity([{ principal: "p", role: Role.ADMIN, token: "short" }])).toThrow(/16/);
});

test("a stranger's answer is the same whether or not the method, the operator or the path exists", async () => {
  await using edge = await startEdge();
  const ask = async (path: string, body: string): Promise<unknown> => {
    const { status, headers, error } = await request(edge.url + path, {
      method: "POST",
      headers: { authorization: "Bearer not-a-token-000000", "content-type": "application/json" },
      body,
    });
    const shown = [...headers].filter(([name]) => name !== "x-request-id" && name !== "date");
    return { status, headers: shown, message: error?.rawMessage };
  };
  const known = await ask("/v1/admin/operators/ops.v1.OperatorAdminService/GetOperator", '{"operatorId":"acme"}');
  expect(await ask("/v1/admin/operators/ops.v1.OperatorAdminService/Nothing", "{}")).toEqual(known);
  expect(await ask("/v1/admin/operators/acme/x", "{")).toEqual(known);
  expect(edge.handled).toEqual([]);
});

test("a stranger's body is not read", async () => {
  await using edge = await startEdge();
  // The body never comes; an answer that comes all the same was made without it.
  const path = "/v1/admin/operators/ops.v1.OperatorAdminService/GetOperator";
  const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n`;
  expect((await requestRaw(edge.port, head)).status).toBe(401);
});

test("health needs no identity; reflection and everything else does", async () => {
  await using edge = await startEdge();
  const foreign = { ":authority": "pod-7.example" };
  const health = await requestGrpc(edge.url, "/grpc.health.v1.Health/Check", envelope(new Uint8Array(0)), foreign);
  expect(infosOf(health)).toEqual([]);
  expect(health.error).toBeUndefined();
  for (const path of ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.health.v2.Health/Check"]) {
    expect(reasonOf(await requestGrpc(edge.url, path, envelope(new Uint8Array(0)), foreign))).toBe("IDENTITY_MISSING");
  }
});

test("guessing tokens is slowed down, without slowing down those who know one", async () => {
  const { defaultLimits } = await import("../../src/rpc/limits.ts");
  const admin = { ...defaultLimits.admin, rate: { perSecond: 0.001, burst: 3 } };
  await using edge = await startEdge({ limits: { admin } });
  const ask = async (token: string): Promise<string> =>
    reasonOf(await request(`${edge.url}/v1/admin/operators`, { headers: { authorization: `Bearer ${token}` } }));
  expect([await ask("a"), await ask("b"), await ask("c"), await ask("d")]).toEqual([
    "TOKEN_INVALID",
    "TOKEN_INVALID",
    "TOKEN_INVALID",
    "RATE_LIMITED",
  ]);
  expect(await ask(TOKENS.viewer)).toBe("");
});
