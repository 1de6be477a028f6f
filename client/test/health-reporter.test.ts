import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import {
  BindState,
  BindStatusSchema,
  type BindStatus,
  type HealthReport,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { ReportHealthRequest } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { MessageState } from "@operator-management/contract/ops/v1/receipts_pb.js";
import { describe, expect, it } from "vitest";
import { HealthReporter } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { StandingClock } from "./harness/health-clock.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";

// Longer than 250 lines because what a report says of each kind of traffic is read side by side.

const closing = closingAfterEach();
const link = { operatorId: "acme", operatorUid: "uid-acme", connectionId: "main" };
const MINUTE = 60_000;

/** A reporter of `acme/main` on a clock of its own, and what the service got. */
async function reporterOf(
  init: MessageInitShape<typeof OperatorSchema> = {},
  answer: (request: ReportHealthRequest, call: number) => Promise<object> = async () => ({}),
) {
  const calls: ReportHealthRequest[] = [];
  const server = closing(
    await startMeshServer({ mesh: { reportHealth: (request) => answer(request, calls.push(request)) } }),
  );
  const operator = create(OperatorSchema, { id: "acme", uid: "uid-acme", connections: { main: {} }, ...init });
  const clock = new StandingClock();
  const reporter = closing(
    HealthReporter.start({
      client: createMeshClient({ baseUrl: server.baseUrl, retryDelayMs: 1 }),
      catalog: {
        connection: () => {
          const connection = operator.connections["main"];
          return connection && { operatorId: "acme", connectionId: "main", operator, connection };
        },
      },
      node: { name: "node-1", epoch: 7n },
      clock,
    }),
  );
  const reports = (): HealthReport[] => calls.flatMap((call) => call.reports);
  /** Lets an interval pass and waits for what it brings. */
  const next = async (ms = 10_000): Promise<HealthReport | undefined> => {
    const before = calls.length;
    clock.move(ms);
    await expect.poll(() => calls.length, { timeout: 15_000 }).toBeGreaterThan(before);
    await reporter.idle();
    return reports().at(-1);
  };
  return { reporter, calls, reports, clock, next, server };
}

type BindInit = Exclude<MessageInitShape<typeof BindStatusSchema>, BindStatus>;

function bind(state: BindState, more: BindInit = {}): BindStatus {
  return create(BindStatusSchema, { role: BindRole.TRX, state, ...more });
}

describe("a health report", () => {
  it("holds who reports, for how long, and what was seen in the last five minutes", async () => {
    const { reporter, clock, next } = await reporterOf();
    const monitor = reporter.link(link);
    reporter.applied("token-1");
    monitor.binds([bind(BindState.BOUND)]);
    const sent = [1, 2, 3, 4, 5].map(() => monitor.sent(2));
    clock.move(40);
    const [first = 0, second = 0, third = 0, fourth = 0] = sent;
    monitor.answered(first, 0, { segments: 2 });
    monitor.answered(second, 0x08, { segments: 2 });
    monitor.answered(third, 0x58, { segments: 2 });
    monitor.answered(fourth, 0x400, { segments: 2 });
    monitor.unanswered(2);
    monitor.queue(3, clock.now() - 2_500);
    const report = await next();
    expect(report).toMatchObject({
      ...link,
      node: "node-1",
      epoch: 7n,
      appliedToken: "token-1",
      leaving: false,
      binds: [{ state: BindState.BOUND }],
    });
    expect(report?.interval && durationMs(report.interval)).toBe(10_000);
    expect(report?.reportTime && timestampMs(report.reportTime)).toBe(clock.now());
    const { quality } = report ?? {};
    expect(quality?.segments).toMatchObject({
      ok: 2,
      temporary: 2,
      throttled: 2,
      permanent: 2,
      account: 0,
      unknown: 2,
    });
    expect(quality?.commandStatuses).toEqual({ 0x08: 2, 0x58: 2, 0x400: 2 });
    // 1.2 ** 20 is 38.3, 1.2 ** 21 is 46.
    expect(quality?.latency).toMatchObject({ buckets: { 21: 4 }, sumMilliseconds: 160, maxMilliseconds: 40 });
    expect(quality).toMatchObject({ queueDepth: 3, observedRate: 1 });
    expect(quality?.oldestQueuedAge && durationMs(quality.oldestQueuedAge)).toBe(12_500);
    expect(quality?.throttledRate).toBeUndefined();

    const later = await next(5 * MINUTE);
    expect(later?.quality?.segments).toMatchObject({ ok: 0, temporary: 0, unknown: 0 });
    expect(later?.quality?.latency).toMatchObject({ buckets: {}, sumMilliseconds: 0, maxMilliseconds: 0 });
    expect(later?.quality?.observedRate).toBe(0);
  });

  it("puts answers under the operator's own classes, and by whether they count for health", async () => {
    const submitErrors = [
      { status: "ESME_RTHROTTLED", errorClass: 1 },
      { status: "0x08", errorClass: 1, countsForHealth: false },
      { status: "0x400", errorClass: 4 },
      { status: "0x401", errorClass: 2, countsForHealth: true },
    ];
    const { reporter, next } = await reporterOf({ connections: { main: { submitErrors } } });
    const monitor = reporter.link(link);
    for (const status of [0x58, 0x08, 0x400, 0x401, 0x14]) monitor.answered(monitor.sent(), status);
    expect((await next())?.quality?.segments).toMatchObject({ temporary: 2, permanent: 1, account: 1, throttled: 1 });
  });

  it("sets receipts against the messages sent 10 to 70 minutes ago, each in its own time", async () => {
    const { reporter, clock, next } = await reporterOf();
    const monitor = reporter.link(link);
    const submit = (): number => {
      const sentAt = monitor.sent();
      monitor.answered(sentAt, 0, { receiptAsked: true });
      return sentAt;
    };
    const early = [submit(), submit(), submit()];
    clock.move(MINUTE);
    monitor.answered(monitor.sent(), 0);
    monitor.answered(monitor.sent(), 8, { receiptAsked: true });
    monitor.receipt(early[0] ?? 0, MessageState.DELIVERED);
    clock.move(8 * MINUTE);
    const late = submit();
    monitor.receipt(late, MessageState.DELIVERED);
    expect((await next())?.quality?.receipts).toMatchObject({ submitted: 0, delivered: 0 });
    await next(2 * MINUTE);
    monitor.receipt(early[1] ?? 0, MessageState.UNDELIVERABLE);
    monitor.receipt(early[2] ?? 0, MessageState.ENROUTE);
    expect((await next())?.quality?.receipts).toMatchObject({ submitted: 3, delivered: 1, undeliverable: 1 });
    expect((await next(60 * MINUTE))?.quality?.receipts).toMatchObject({
      submitted: 1,
      delivered: 1,
      undeliverable: 0,
    });
  });

  it("counts good reports that are an interval apart, and starts again after a bad one", async () => {
    const { reporter, clock, next } = await reporterOf({ healthPolicy: { minimumSegments: 10 } });
    const monitor = reporter.link(link);
    const good = bind(BindState.BOUND);
    monitor.binds([good]);
    expect((await next())?.goodStreak).toBe(1);
    expect((await next())?.goodStreak).toBe(2);
    monitor.binds([good, bind(BindState.UNBOUND, { index: 1 })]);
    expect((await next(100))?.goodStreak).toBe(2);
    const goodAt = clock.now();
    expect((await next())?.goodStreak).toBe(3);

    monitor.binds([bind(BindState.FAILED)]);
    expect((await next())?.goodStreak).toBe(0);
    monitor.binds([good, bind(BindState.CONNECTING, { index: 1, detail: "ECONNREFUSED" })]);
    expect((await next())?.goodStreak).toBe(0);
    monitor.binds([bind(BindState.BOUND, { enquireLinksMissed: 3 })]);
    const bad = await next();
    expect(bad?.goodStreak).toBe(0);
    expect(bad?.lastGoodTime && timestampMs(bad.lastGoodTime)).toBe(goodAt + 10_000);

    monitor.binds([good]);
    expect((await next())?.goodStreak).toBe(1);
    monitor.throttled(5);
    expect(await next()).toMatchObject({ goodStreak: 0, quality: { throttledRate: 5 } });
    monitor.throttled(undefined);
    for (let i = 0; i < 20; i++) monitor.answered(monitor.sent(), i === 0 ? 8 : 0);
    expect((await next())?.goodStreak).toBe(0);
    for (let i = 0; i < 20; i++) monitor.answered(monitor.sent(), 0);
    expect((await next())?.goodStreak).toBe(1);
  });

  it("tells of binds lost in the last hour", async () => {
    const { reporter, next } = await reporterOf();
    const monitor = reporter.link(link);
    monitor.binds([bind(BindState.BOUND)]);
    monitor.bindLost();
    expect((await next(2 * MINUTE))?.flaps).toBe(1);
    monitor.bindLost();
    expect((await next(57 * MINUTE))?.flaps).toBe(2);
    expect((await next(2 * MINUTE))?.flaps).toBe(1);
  });

  it("stays of bounded size, whatever vendors answer", async () => {
    const { reporter, next } = await reporterOf();
    const monitor = reporter.link(link);
    for (let status = 1; status <= 500; status++) monitor.answered(monitor.sent(), status);
    for (let i = 0; i < 10; i++) monitor.answered(monitor.sent(), 77);
    const report = await next();
    expect(Object.keys(report?.quality?.commandStatuses ?? {})).toHaveLength(64);
    expect(report?.quality?.commandStatuses[77]).toBe(11);
  });

  it("survives a clock that is set back and forth", async () => {
    const { reporter, clock, next } = await reporterOf();
    const monitor = reporter.link(link);
    const sentAt = monitor.sent();
    clock.move(-30 * MINUTE);
    monitor.answered(sentAt, 0, { receiptAsked: true });
    monitor.receipt(sentAt, MessageState.DELIVERED);
    expect((await next(31 * MINUTE))?.quality?.latency?.sumMilliseconds).toBe(0);
  });
});

describe("health reports", () => {
  it("come at once for a changed bind, several changes together, and only of that connection", async () => {
    const { reporter, calls, next } = await reporterOf();
    const [main, backup] = [reporter.link(link), reporter.link({ ...link, connectionId: "backup" })];
    backup.binds([bind(BindState.BOUND)]);
    await next(50);
    main.binds([bind(BindState.CONNECTING)]);
    main.binds([bind(BindState.BINDING)]);
    main.binds([bind(BindState.BOUND)]);
    expect(await next(50)).toMatchObject({ connectionId: "main", binds: [{ state: BindState.BOUND }] });
    expect(calls).toHaveLength(2);
    // Only figures changed: nothing that can't wait.
    main.binds([bind(BindState.BOUND, { enquireLinksAnswered: 5 })]);
    await next();
    expect(calls[2]?.reports).toHaveLength(2);
  });

  it("go in calls of a hundred; one that the service can't read doesn't take the others with it", async () => {
    const { reporter, calls, clock } = await reporterOf({}, async ({ reports }) => {
      if (reports.some(({ connectionId }) => connectionId === "link-17")) {
        throw serviceError(Code.InvalidArgument, "FIELD_INVALID");
      }
      return { dropped: [0] };
    });
    for (let i = 0; i < 250; i++) reporter.link({ ...link, connectionId: `link-${i}` });
    clock.move(10_000);
    await reporter.idle();
    expect(reporter.status.lastError).toMatchObject({ code: Code.InvalidArgument });
    const taken = calls.filter(({ reports }) => reports.every(({ connectionId }) => connectionId !== "link-17"));
    expect(new Set(taken.flatMap(({ reports }) => reports.map((each) => each.connectionId))).size).toBe(249);
    expect(Math.max(...calls.map(({ reports }) => reports.length))).toBe(100);
    expect(reporter.status.dropped).toBe(taken.length);
  });

  it("go on after failures: what failed is replaced by what is true then", async () => {
    const { reporter, reports, next } = await reporterOf({}, async (_, call) => {
      if (call <= 4) throw serviceError(Code.Unavailable, "BUS_UNAVAILABLE");
      return {};
    });
    const monitor = reporter.link(link);
    monitor.queue(1);
    await next();
    expect(reporter.status.lastError).toMatchObject({ code: Code.Unavailable });
    monitor.queue(2);
    await next();
    expect(reporter.status.lastError).toBeUndefined();
    expect(reports().map(({ quality }) => quality?.queueDepth)).toEqual([1, 1, 1, 1, 2]);
  });

  it("end with a last one per connection, also for one that isn't run here any more", async () => {
    const { reporter, reports, next } = await reporterOf();
    const [main, backup] = [reporter.link(link), reporter.link({ ...link, connectionId: "backup" })];
    main.binds([bind(BindState.BOUND)]);
    backup.binds([bind(BindState.BOUND)]);
    await next(50);
    backup.close();
    expect(await next(50)).toMatchObject({ connectionId: "backup", leaving: true });
    backup.binds([]);
    await next();
    await Promise.all([reporter.close(), reporter.close()]);
    reporter.reportNow();
    expect(reports().map(({ connectionId, leaving }) => `${connectionId} ${leaving}`)).toEqual([
      "main false",
      "backup false",
      "backup true",
      "main false",
      "main true",
    ]);
  });
});
