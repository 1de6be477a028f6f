import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState, BindStatusSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import type { ReportNodeStatusRequest } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { describe, expect, it } from "vitest";
import { NodeReporter, type NodeReporterOptions } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { token } from "./harness/frames.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const main = { operatorId: "acme", connectionId: "main" };

async function reporterOf(
  options: Partial<NodeReporterOptions> = {},
  answer: (call: number) => Promise<object> = () => Promise.resolve({ token: token(3) }),
) {
  const reports: ReportNodeStatusRequest[] = [];
  const server = closing(
    await startMeshServer({ mesh: { reportNodeStatus: (request) => answer(reports.push(request)) } }),
  );
  const client = createMeshClient({ baseUrl: server.baseUrl });
  const node = { name: "node-1", epoch: 7n, labels: { egress: "ams-1" }, maxBinds: 9 };
  const reporter = closing(NodeReporter.start({ client, node, intervalMs: 60_000, ...options }));
  return { reporter, reports, server };
}

describe("a node's reports", () => {
  it("hold all that the node runs", async () => {
    const { reporter, reports } = await reporterOf();
    await expect.poll(() => reporter.status).toEqual({ serverToken: token(3) });
    expect(reports[0]).toMatchObject({
      node: "node-1",
      epoch: 7n,
      labels: { egress: "ams-1" },
      maxBinds: 9,
      accepting: true,
      appliedToken: "",
      leaving: false,
    });
    const bind = create(BindStatusSchema, { role: BindRole.TRX, index: 0, state: BindState.BOUND });
    reporter.applied(token(2));
    reporter.rejected(main, token(2), `no such host ${"x".repeat(600)}`);
    reporter.binds({ ...main, operatorUid: "u-1" }, [bind]);
    reporter.accepting(false);
    reporter.reportNow();
    await expect.poll(() => reports.length).toBe(2);
    expect(reports[1]).toMatchObject({
      accepting: false,
      appliedToken: token(2),
      rejected: [{ ...main, token: token(2) }],
      connections: [{ ...main, operatorUid: "u-1", binds: [{ state: BindState.BOUND }] }],
    });
    expect(reports[1]?.rejected[0]?.error).toHaveLength(500);

    reporter.recovered(main);
    reporter.binds({ ...main, operatorUid: "u-1" }, []);
    await expect.poll(() => reporter.reportNow() ?? reports.at(-1)?.rejected.length).toBe(0);
    expect(reports.at(-1)?.connections).toEqual([]);
  });

  it("come by themselves, as often as the service asks", async () => {
    const { reports } = await reporterOf({}, async () => ({ reportInterval: durationFromMs(20) }));
    await expect.poll(() => reports.length).toBeGreaterThan(3);
  });

  it("hold only the newest state, however often they are asked for meanwhile", async () => {
    const gate = Promise.withResolvers<void>();
    const { reporter, reports } = await reporterOf({}, (call) =>
      (call === 1 ? gate.promise : Promise.resolve()).then(() => ({})),
    );
    await expect.poll(() => reports.length).toBe(1);
    for (let revision = 1; revision <= 50; revision++) {
      reporter.applied(token(revision));
      reporter.reportNow();
    }
    gate.resolve();
    await expect.poll(() => reports.length).toBe(2);
    await reporter.close();
    expect(reports.map((report) => report.appliedToken)).toEqual(["", token(50), token(50)]);
  });

  it("go on after failures, which are never thrown, repeated or logged twice", async () => {
    const logged: object[] = [];
    const log = (fields: object): void => void logged.push(fields);
    const { reporter, reports } = await reporterOf(
      { intervalMs: 20, logger: { info: log, warn: log, error: log } },
      async (call) => {
        if (call <= 3) throw serviceError(Code.Unavailable, "SHUTTING_DOWN");
        return {};
      },
    );
    await expect.poll(() => reporter.status.lastError).toMatchObject({ code: Code.Unavailable });
    await expect.poll(() => reports.length).toBeGreaterThan(4);
    expect(reporter.status.lastError).toBeUndefined();
    expect(logged).toHaveLength(1);
  });

  it("end with one that says so, once", async () => {
    const { reporter, reports } = await reporterOf();
    await Promise.all([reporter.close(), reporter.close()]);
    reporter.reportNow();
    await reporter[Symbol.asyncDispose]();
    expect(reports.map((report) => [report.leaving, report.accepting])).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  it("don't overtake each other: the last one waits for the one under way", async () => {
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const { reporter, reports, server } = await reporterOf({}, async (call) => {
      order.push(`begin ${call}`);
      if (call === 1) await gate.promise;
      order.push(`end ${call}`);
      return {};
    });
    const client = createMeshClient({ baseUrl: server.baseUrl });
    await expect.poll(() => reports.length).toBe(1);
    const closed = reporter.close();
    // Twice to the server and back: time enough for a report that doesn't wait.
    for (let trip = 0; trip < 2; trip++) await client.getOperator({}).catch(() => undefined);
    gate.resolve();
    await closed;
    expect(order).toEqual(["begin 1", "end 1", "begin 2", "end 2"]);
    expect(reports.map((report) => report.leaving)).toEqual([false, true]);
  });

  it("end without a server too", async () => {
    const { reporter, server } = await reporterOf();
    await server.close();
    await reporter.close();
    expect(reporter.status.lastError).toBeInstanceOf(Error);
  });
});
