import { createClient, type ConnectError } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { expect, test, vi } from "vitest";
import { defaultLimits, Places, RateLimiter } from "../../src/rpc/limits.ts";
import { codeOf, envelope, reasonOf, request, requestGrpc, retryMsOf } from "./answers.ts";
import { startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

const list = (edge: EdgeServer, token: string) =>
  request(`${edge.url}/v1/admin/operators`, { headers: { authorization: `Bearer ${token}` } });

test("a caller who calls too fast is told when to come back; another is not affected", async () => {
  const admin = { ...defaultLimits.admin, rate: { perSecond: 0.5, burst: 2 } };
  await using edge = await startEdge({ limits: { admin } });
  await list(edge, TOKENS.viewer);
  await list(edge, TOKENS.viewer);
  const third = await list(edge, TOKENS.viewer);
  expect([third.status, codeOf(third), reasonOf(third)]).toEqual([429, "resource_exhausted", "RATE_LIMITED"]);
  expect(retryMsOf(third)).toBeGreaterThan(1_000);
  expect(retryMsOf(third)).toBeLessThanOrEqual(2_000);
  expect((await list(edge, TOKENS.admin)).status).toBe(200);
});

test("a token bucket allows its burst, then its rate, and never more than its burst", () => {
  let now = 0;
  const limiter = new RateLimiter(() => now);
  const limit = { perSecond: 10, burst: 3 };
  const takeAll = (): number => {
    for (let taken = 0; ; taken += 1) {
      try {
        limiter.take("a", limit);
      } catch {
        return taken;
      }
    }
  };
  expect(takeAll()).toBe(3);
  now += 250;
  expect(takeAll()).toBe(2);
  now += 60_000;
  expect(takeAll()).toBe(3);
});

test("a caller may not have too many calls in flight", async () => {
  const mesh = { ...defaultLimits.mesh, maxConcurrentCalls: 1 };
  await using edge = await startEdge({ limits: { mesh } });
  const client = createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url }));
  const aborted = new AbortController();
  const first = client.getOperator({ operatorId: "slow" }, { signal: aborted.signal }).catch(() => undefined);
  await vi.waitFor(() => expect(edge.handled).toHaveLength(1));
  await expect(client.getOperator({ operatorId: "acme" })).rejects.toThrow(/1 calls are in flight/);
  aborted.abort();
  await first;
  await vi.waitFor(() => client.getOperator({ operatorId: "acme" }));
});

test("streams are limited in total and per caller, and a closed one makes room", async () => {
  await using edge = await startEdge({ limits: { maxStreams: 2 } });
  const client = createClient(OperatorService, createGrpcTransport({ baseUrl: edge.url }));
  const open = async (): Promise<AbortController> => {
    const aborted = new AbortController();
    const messages = client.watchOperators({}, { signal: aborted.signal })[Symbol.asyncIterator]();
    await messages.next();
    messages.next().catch(() => undefined);
    return aborted;
  };
  const [first] = [await open(), await open()];
  const refused = await open().catch((error: unknown) => error as ConnectError);
  expect((refused as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason).toBe("TOO_MANY_STREAMS");
  first.abort();
  const third = await vi.waitFor(open);
  third.abort();
});

test("callers without identity can't take the others' streams", async () => {
  await using edge = await startEdge({ limits: { maxStreams: 1 } });
  const aborted = new AbortController();
  const { Health } = await import("@operator-management/contract/grpc/health/v1/health_pb.js");
  const transport = createGrpcTransport({ baseUrl: edge.url });
  const health = createClient(Health, transport);
  for (let count = 0; count < 3; count += 1) {
    const messages = health.watch({}, { signal: aborted.signal })[Symbol.asyncIterator]();
    await messages.next();
    messages.next().catch(() => undefined);
  }
  const watch = createClient(OperatorService, transport).watchOperators({ filter: "end" });
  for await (const { message } of watch) expect(message.case).toBe("bookmark");
  aborted.abort();
});

test("places are counted per caller and given back", () => {
  const places = new Places();
  const take = (caller: string): (() => void) =>
    places.take(caller, { total: 3, perCaller: 2 }, (limit) => new Error(`full at ${limit}`));
  const give = take("a");
  take("a");
  expect(() => take("a")).toThrow("full at 2");
  take("b");
  expect(() => take("c")).toThrow("full at 3");
  give();
  take("c");
  expect(places.total).toBe(3);
});

test("a reply that is too large is a typed error, not half a reply", async () => {
  const mesh = { ...defaultLimits.mesh, writeMaxBytes: 10 };
  await using edge = await startEdge({ limits: { mesh } });
  const body = envelope(new Uint8Array([0x0a, 0x04, 0x61, 0x63, 0x6d, 0x65]));
  const answer = await requestGrpc(edge.url, "/ops.v1.OperatorService/GetOperator", body);
  expect([codeOf(answer), reasonOf(answer)]).toEqual(["resource_exhausted", "MESSAGE_TOO_LARGE"]);
});
