import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { create } from "@bufbuild/protobuf";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  CreateOperatorRequestSchema,
  SetConnectionCredentialRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { createContextValues } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { createAdminClient, opsMetadata, opsReason, singleAttempt, violations, type CallPolicy } from "../src/index.ts";
import { createMeshClient, meshTransport } from "../src/node.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();

async function clientsOf(
  impl: {
    mesh?: Partial<ServiceImpl<typeof OperatorService>>;
    admin?: Partial<ServiceImpl<typeof OperatorAdminService>>;
  },
  policy: CallPolicy = { retryDelayMs: 1 },
) {
  const server = closing(await startMeshServer(impl));
  const transport = meshTransport(server);
  return { mesh: createMeshClient({ transport, ...policy }), admin: createAdminClient({ transport, ...policy }) };
}

/** Counts the calls, and fails each with this error but the last of `fails + 1`. */
function failing<Request, Reply>(error: ConnectError, reply: Reply, fails = Number.POSITIVE_INFINITY) {
  const calls: { request: Request; requestId: string | null }[] = [];
  const method = async (request: Request, context: { requestHeader: Headers }): Promise<Reply> => {
    calls.push({ request, requestId: context.requestHeader.get("x-request-id") });
    if (calls.length <= fails) throw error;
    return reply;
  };
  return { calls, method };
}

const down = serviceError(Code.Unavailable, "DATABASE_UNAVAILABLE");

describe("a read is repeated", () => {
  it.each([
    ["while the service is unavailable", down],
    [
      "when it is limited and told when to come back",
      serviceError(Code.ResourceExhausted, "RATE_LIMITED", { retryMs: 1 }),
    ],
    ["when a proxy cancels it", new ConnectError("x", Code.Canceled)],
    ["when the connection breaks", new ConnectError("x", Code.Internal)],
    ["when the connection is reset", new ConnectError("x", Code.Aborted)],
  ])("%s", async (_name, error) => {
    const { calls, method } = failing(error, { token: "t" }, 2);
    const { mesh } = await clientsOf({ mesh: { getOperator: method } });
    expect((await mesh.getOperator({ operatorId: "acme" })).token).toBe("t");
    expect(calls).toHaveLength(3);
    expect(calls[0]?.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(calls.map((call) => call.requestId)).size).toBe(1);
  });

  it("at most so often", async () => {
    const { calls, method } = failing(down, {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } }, { retryDelayMs: 1, maxAttempts: 3 });
    await expect(mesh.getOperator({ operatorId: "acme" })).rejects.toMatchObject({ code: Code.Unavailable });
    expect(calls).toHaveLength(3);
  });

  it("not at all once a server fails everything: retries are a budget", async () => {
    const { calls, method } = failing(down, {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } });
    for (let call = 0; call < 20; call++) await mesh.getOperator({ operatorId: "acme" }).catch(() => undefined);
    expect(calls.length).toBeLessThan(40);
  });

  it.each([
    ["a defect", serviceError(Code.Internal, "BUG")],
    ["a missing operator", serviceError(Code.NotFound, "OPERATOR_NOT_FOUND")],
    ["too many streams", serviceError(Code.ResourceExhausted, "TOO_MANY_STREAMS", { retryMs: 1 })],
    ["a limit without a time", serviceError(Code.ResourceExhausted, "RATE_LIMITED")],
    ["a refusal", serviceError(Code.PermissionDenied, "NAMESPACE_DENIED")],
  ])("but not after %s", async (_name, error) => {
    const { calls, method } = failing(error, {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } });
    await expect(mesh.getOperator({ operatorId: "acme" })).rejects.toMatchObject({ code: error.code });
    expect(calls).toHaveLength(1);
  });

  it("but not when the caller forbids it, or gives up", async () => {
    const { calls, method } = failing(serviceError(Code.Unavailable, "CATALOG_BEHIND", { retryMs: 5_000 }), {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } });
    const contextValues = createContextValues().set(singleAttempt, true);
    await expect(mesh.getOperator({ operatorId: "acme" }, { contextValues })).rejects.toThrow();
    expect(calls).toHaveLength(1);

    const controller = new AbortController();
    const call = mesh.getOperator({ operatorId: "acme" }, { signal: controller.signal });
    await expect.poll(() => calls.length).toBe(2);
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: Code.Canceled });
    expect(calls).toHaveLength(2);
  });
});

describe("a change", () => {
  it("always has a request id, and keeps it when it is repeated", async () => {
    const { calls, method } = failing<{ requestId: string }, object>(down, {}, 2);
    const { admin } = await clientsOf({ admin: { createOperator: method } });
    const request = create(CreateOperatorRequestSchema, { operatorId: "acme" });
    await admin.createOperator(request);
    const ids = calls.map((call) => call.request.requestId);
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
    // The caller's message stays as it was: sent again it is another call.
    expect(request.requestId).toBe("");
    await admin.createOperator(request);
    expect(calls.at(-1)?.request.requestId).not.toBe(ids[0]);
  });

  it("keeps the caller's request id", async () => {
    const { calls, method } = failing<{ requestId: string }, object>(down, {}, 0);
    const { admin } = await clientsOf({ admin: { updateOperator: method } });
    await admin.updateOperator({ requestId: "mine" });
    expect(calls[0]?.request.requestId).toBe("mine");
  });

  it.each([Code.Canceled, Code.Internal, Code.Aborted])(
    "is not repeated when the connection breaks (%s): it may have happened",
    async (code) => {
      const { calls, method } = failing(new ConnectError("x", code), {});
      const { admin } = await clientsOf({ admin: { deleteOperator: method } });
      await expect(admin.deleteOperator({ operatorId: "acme" })).rejects.toMatchObject({ code });
      expect(calls).toHaveLength(1);
    },
  );

  it("that is a secret's read is repeated as a read: it has no request id", async () => {
    const { calls, method } = failing(new ConnectError("x", Code.Internal), {}, 1);
    const { mesh } = await clientsOf({ mesh: { getConnectionCredential: method } });
    await mesh.getConnectionCredential({ operatorId: "acme" });
    expect(calls).toHaveLength(2);
  });

  it("carries its secret unchanged", async () => {
    const { calls, method } = failing<{ password: string }, object>(down, {}, 0);
    const { admin } = await clientsOf({ admin: { setConnectionCredential: method } });
    await admin.setConnectionCredential(create(SetConnectionCredentialRequestSchema, { password: "pässword" }));
    expect(calls[0]?.request.password).toBe("pässword");
  });
});

describe("the deadline", () => {
  const hanging = () => new Promise<never>(() => {});

  it("ends a call, whatever the server does", async () => {
    const { mesh } = await clientsOf({ mesh: { getOperator: hanging } }, { timeoutMs: 50 });
    const call = mesh.getOperator({ operatorId: "acme" });
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });

  it("of a call goes before the client's", async () => {
    const { mesh } = await clientsOf({ mesh: { getOperator: hanging } });
    const call = mesh.getOperator({ operatorId: "acme" }, { timeoutMs: 50 });
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });

  it("covers the retries: none is begun that can't end in time", async () => {
    const { calls, method } = failing(serviceError(Code.Unavailable, "CATALOG_BEHIND", { retryMs: 60_000 }), {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } }, { timeoutMs: 5_000 });
    await expect(mesh.getOperator({ operatorId: "acme" })).rejects.toMatchObject({ code: Code.Unavailable });
    expect(calls).toHaveLength(1);
  });

  it("is told to the server, by default 10 s, and not for a watch", async () => {
    const timeouts: unknown[] = [];
    const { mesh } = await clientsOf(
      {
        mesh: {
          getOperator: async (_request, context) => {
            timeouts.push(context.timeoutMs());
            return {};
          },
          // eslint-disable-next-line require-yield -- only its headers matter
          watchOperators: async function* (_request, context) {
            timeouts.push(context.timeoutMs());
          },
        },
      },
      {},
    );
    await mesh.getOperator({ operatorId: "acme" });
    await mesh.getOperator({ operatorId: "acme" }, { timeoutMs: 0 });
    for await (const _message of mesh.watchOperators({}));
    expect(timeouts[0]).toBeGreaterThan(8_000);
    expect(timeouts[0]).toBeLessThanOrEqual(10_000);
    expect(timeouts.slice(1)).toEqual([undefined, undefined]);
  });
});

describe("an error", () => {
  it("says why, in which fields, and what varies", async () => {
    const error = serviceError(Code.InvalidArgument, "FIELD_INVALID", { field: "operator.id" });
    const { method } = failing(error, {});
    const { mesh } = await clientsOf({ mesh: { getOperator: method } });
    const caught: unknown = await mesh.getOperator({}).catch((thrown: unknown) => thrown);
    expect(opsReason(caught)).toBe(ErrorReason.FIELD_INVALID);
    expect(violations(caught)).toMatchObject([{ field: "operator.id", description: "is wrong" }]);
    expect(opsMetadata(caught)).toEqual({ note: "n" });
  });

  it("of somebody else has no reason of ours, and one of a newer service an unspecified one", () => {
    expect(opsReason(new ConnectError("x", Code.Internal))).toBeUndefined();
    expect(opsReason(new Error("x"))).toBeUndefined();
    expect(opsReason(serviceError(Code.Internal, "INVENTED_LATER"))).toBe(ErrorReason.UNSPECIFIED);
    expect(violations("no error")).toEqual([]);
  });
});
