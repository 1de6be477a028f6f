import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState, OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { OverrideSchema } from "@operator-management/contract/ops/v1/override_pb.js";
import { ThroughputScope } from "@operator-management/contract/ops/v1/session_pb.js";
import { BindErrorClass } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { describe, expect, it } from "vitest";
import { latestPerNode } from "../../src/health/fold-latest.ts";
import {
  activeId,
  bind,
  failed,
  fold,
  MINUTE,
  oldId,
  operatorWith,
  recorded,
  report,
  SECOND,
  start,
  summary,
} from "./fold-scene.ts";

// Longer than 250 lines because every state and every reason has its row, and they are read against each other.

const two = [bind(), bind({ index: 1 })];
const { UP, DEGRADED, THROTTLED, DOWN, AUTH_FAILED, UNKNOWN } = OperationalState;
const segments = (ok: number, temporary: number, more = {}) => ({ quality: { segments: { ok, temporary, ...more } } });
const agoBy = (ms: number) => timestampFromMs(start - ms);
const later = report("b", two, { at: start + 40 * SECOND });

describe("a link is", () => {
  const cases: readonly [
    name: string,
    expected: string,
    reports: Parameters<typeof fold>[0],
    more?: Parameters<typeof fold>[1],
  ][] = [
    ["UNKNOWN without a reason before any report", "UNKNOWN", []],
    ["UP with all binds", "UP", [report("a", two)]],
    ["UP with its binds on two nodes", "UP", [report("a", [bind()]), report("b", [bind()])]],
    [
      "UNKNOWN without a reason in DRAFT",
      "UNKNOWN",
      [report("a", two)],
      { operator: operatorWith({ effectiveState: AdminState.DRAFT }) },
    ],
    [
      "UNKNOWN without a reason in DISABLED",
      "UNKNOWN",
      [report("a", [failed()])],
      { operator: operatorWith({ effectiveState: AdminState.DISABLED }) },
    ],
    ["UNKNOWN/NO_REPORT after three intervals", "UNKNOWN NO_REPORT", [report("a", two)], { now: start + 30 * SECOND }],
    ["UP just before", "UP", [report("a", two)], { now: start + 30 * SECOND - 1 }],
    [
      "not sooner unknown than by an interval of 5 s",
      "UP",
      [report("a", two, { interval: durationFromMs(1) })],
      { now: start + 14_999 },
    ],
    [
      "not later unknown than by an interval of 120 s",
      "UNKNOWN NO_REPORT",
      [report("a", two, { interval: durationFromMs(3_600_000) })],
      { now: start + 6 * MINUTE },
    ],
    ["UNKNOWN after its nodes left", "UNKNOWN", [report("a", two, { leaving: true })]],
    ["DOWN when a try failed", "DOWN NO_BIND", [report("a", [failed(), failed()])]],
    [
      "DOWN when all sessions are dead",
      "DOWN ENQUIRE_LINK_MISSED NO_BIND",
      [report("a", [bind({ enquireLinksMissed: 3 })])],
    ],
    ["UP with two enquire_links missed", "UP", [report("a", [bind({ enquireLinksMissed: 2 }), bind()])]],
    ["DOWN when the vendor holds the slot", "DOWN SLOT_BUSY NO_BIND", [report("a", [failed({ lastBindStatus: 5 })])]],
    [
      "AUTH_FAILED when the password is refused",
      "AUTH_FAILED AUTH_REJECTED NO_BIND",
      [report("a", [failed({ lastBindStatus: 0x0e })])],
    ],
    [
      "AUTH_FAILED while it tries again",
      "AUTH_FAILED AUTH_REJECTED NO_BIND",
      [report("a", [bind({ state: BindState.BINDING, rejectedCredentialId: activeId, lastBindStatus: 0x0e })])],
    ],
    ["DOWN for 0x0D", "DOWN NO_BIND", [report("a", [failed({ lastBindStatus: 0x0d })])]],
    [
      "AUTH_FAILED for 0x0D where the vendor means that",
      "AUTH_FAILED AUTH_REJECTED NO_BIND",
      [report("a", [failed({ lastBindStatus: 0x0d })])],
      { operator: operatorWith({ bindErrors: [{ status: "ESME_RBINDFAIL", errorClass: BindErrorClass.AUTH }] }) },
    ],
    [
      "not DOWN while a node with a bind fell silent",
      "UNKNOWN NO_REPORT NO_BIND",
      [report("a", two), report("b", [failed()], { at: start + 40 * SECOND })],
      { now: start + 40 * SECOND },
    ],
    [
      "DOWN once that is long ago",
      "DOWN NO_BIND",
      [report("a", two), report("b", [failed()], { at: start + 6 * MINUTE })],
      { now: start + 6 * MINUTE },
    ],
    [
      "DOWN though a node without a bind fell silent",
      "DOWN NO_BIND",
      [report("a", [failed()]), report("b", [failed()], { at: start + 40 * SECOND })],
      { now: start + 40 * SECOND },
    ],
    [
      "UNKNOWN/NO_BIND while its first attempts are under way",
      "UNKNOWN NO_BIND",
      [report("a", [bind({ state: BindState.CONNECTING })])],
    ],
    [
      "DOWN when that takes too long",
      "DOWN NO_BIND",
      [report("a", [bind({ state: BindState.CONNECTING })])],
      { recorded: recorded(UNKNOWN, { reason: OperationalReason.NO_BIND, time: new Date(start - 2 * MINUTE) }) },
    ],
    [
      "UP when a node left in order and another took over",
      "UP",
      [report("a", two, { leaving: true }), report("b", two)],
    ],
    [
      "DEGRADED without a receiver",
      "DEGRADED WARNING RECEIVER_DOWN",
      [report("a", [bind({ role: BindRole.TX }), failed({ role: BindRole.RX, unboundSince: agoBy(SECOND) })])],
      {
        operator: operatorWith({
          binds: [
            { role: BindRole.TX, count: 1 },
            { role: BindRole.RX, count: 1 },
          ],
        }),
      },
    ],
    [
      "UP without a receiver where another connection receives",
      "UP",
      [report("a", [bind({ role: BindRole.TX }), failed({ role: BindRole.RX, unboundSince: agoBy(SECOND) })])],
      {
        operator: operatorWith(
          {
            binds: [
              { role: BindRole.TX, count: 1 },
              { role: BindRole.RX, count: 1 },
            ],
          },
          { connections: { in: { receivesFor: ["main"], effectiveState: AdminState.ENABLED } } },
        ),
      },
    ],
    [
      "UP without a receiver where none is wanted",
      "UP",
      [report("a", [bind({ role: BindRole.TX })])],
      { operator: operatorWith({ binds: [{ role: BindRole.TX, count: 1 }] }) },
    ],
    [
      "UP while a bind is missing for less than 2 minutes",
      "UP",
      [report("a", [bind(), failed({ unboundSince: agoBy(119 * SECOND) })])],
    ],
    [
      "DEGRADED when it is missing for 2 minutes",
      "DEGRADED WARNING BINDS_MISSING",
      [report("a", [bind(), failed({ unboundSince: agoBy(120 * SECOND) })])],
    ],
    [
      "DEGRADED between two reports",
      "DEGRADED WARNING BINDS_MISSING",
      [report("a", [bind(), failed({ unboundSince: agoBy(119 * SECOND) })])],
      { now: start + SECOND },
    ],
    [
      "DEGRADED and names the slot that is held",
      "DEGRADED WARNING BINDS_MISSING SLOT_BUSY",
      [report("a", [bind(), failed({ lastBindStatus: 5 })])],
    ],
    [
      "UP with a spare bind long down and a wanted one just now",
      "UP",
      [report("a", [bind(), failed(), failed({ unboundSince: agoBy(MINUTE) })])],
    ],
    ["UP with more slots than wanted, one of them down", "UP", [report("a", [bind(), bind(), failed()])]],
    [
      "DEGRADED when a node died two minutes ago",
      "DEGRADED WARNING BINDS_MISSING",
      [report("a", [bind()]), report("b", [bind()], { at: start + 2 * MINUTE })],
      { now: start + 2 * MINUTE },
    ],
    [
      "UP when it died just now",
      "UP",
      [report("a", [bind()]), report("b", [bind()], { at: start + MINUTE })],
      { now: start + MINUTE },
    ],
    [
      "DEGRADED when nobody ever reported a bind that is long wanted",
      "DEGRADED WARNING BINDS_MISSING",
      [report("a", [bind()])],
    ],
    [
      "UP when more binds are wanted since a minute",
      "UP",
      [report("a", [bind()])],
      { operator: operatorWith({}, { updateTime: agoBy(MINUTE) }) },
    ],
    [
      "DEGRADED (critical) when nothing can send for 2 minutes",
      "DEGRADED CRITICAL BINDS_MISSING",
      [report("a", [bind({ role: BindRole.RX }), failed({ role: BindRole.TX })])],
      {
        operator: operatorWith({
          binds: [
            { role: BindRole.TX, count: 1 },
            { role: BindRole.RX, count: 1 },
          ],
        }),
      },
    ],
    ["UP below 5 % errors", "UP", [report("a", two, segments(96, 4))]],
    ["DEGRADED (warning) at 5 %", "DEGRADED WARNING ERROR_RATE", [report("a", two, segments(95, 5))]],
    ["DEGRADED (critical) at 20 %", "DEGRADED CRITICAL ERROR_RATE", [report("a", two, segments(80, 20))]],
    ["UP with fewer than 50 answers", "UP", [report("a", two, segments(0, 49))]],
    [
      "DEGRADED by errors of the account",
      "DEGRADED CRITICAL ERROR_RATE",
      [report("a", two, segments(0, 0, { account: 50 }))],
    ],
    [
      "UP with messages refused and not answered",
      "UP",
      [report("a", two, segments(50, 0, { message: 100, permanent: 100, unknown: 1_000 }))],
    ],
    [
      "judged over all nodes",
      "UP",
      [report("a", [bind()], segments(0, 49)), report("b", [bind()], segments(1_000, 0))],
    ],
    ["THROTTLED", "THROTTLED THROTTLED_BY_VENDOR", [report("a", two, { quality: { throttledRate: 20 } })]],
    [
      "DEGRADED and throttled",
      "DEGRADED WARNING ERROR_RATE THROTTLED_BY_VENDOR",
      [report("a", two, { quality: { throttledRate: 20, segments: { ok: 95, temporary: 5 } } })],
    ],
    [
      "UP with a queue, slow answers and no receipts",
      "UP",
      [
        report("a", two, {
          quality: {
            queueDepth: 1e6,
            latency: { buckets: { 60: 100 }, maxMilliseconds: 60_000 },
            receipts: { submitted: 100 },
          },
        }),
      ],
    ],
    [
      "of the thresholds of its own policy",
      "UP",
      [report("a", two, segments(95, 5))],
      {
        operator: operatorWith(
          { healthPolicy: { errorRatioWarning: 0.06 } },
          { healthPolicy: { errorRatioWarning: 0.01 } },
        ),
      },
    ],
    [
      "of its operator's policy else",
      "DEGRADED WARNING ERROR_RATE",
      [report("a", two, segments(99, 1))],
      { operator: operatorWith({}, { healthPolicy: { errorRatioWarning: 0.01 } }) },
    ],
    [
      "UNKNOWN once another credential is active",
      "UNKNOWN CONFIG_CHANGED",
      [report("a", [failed({ lastBindStatus: 0x0e, credentialId: oldId, rejectedCredentialId: oldId })])],
    ],
    [
      "UNKNOWN while all live sessions are of an old credential",
      "UNKNOWN CONFIG_CHANGED",
      [report("a", [bind({ credentialId: oldId })])],
    ],
    ["UP when one session is of the new one", "UP", [report("a", [bind({ credentialId: oldId }), bind()])]],
    [
      "UP when the new one was proven, on whichever node",
      "UP",
      [
        report("a", [bind({ credentialId: oldId }), bind({ credentialId: oldId })]),
        report("b", [failed({ lastBindStatus: 0 })]),
      ],
    ],
    [
      "UNKNOWN once a re-bind field changed",
      "UNKNOWN CONFIG_CHANGED",
      [report("a", two)],
      { operator: operatorWith({ bindEtag: "b".repeat(32) }) },
    ],
    [
      "UP once one bind is made with the new settings",
      "UP",
      [report("a", [bind({ bindEtag: "b".repeat(32) }), bind()])],
      { operator: operatorWith({ bindEtag: "b".repeat(32) }) },
    ],
    [
      "not judged by settings that are not told",
      "UP",
      [report("a", [bind({ bindEtag: "" }), bind({ bindEtag: "" })])],
      { operator: operatorWith({ bindEtag: "b".repeat(32) }) },
    ],
    [
      "UNKNOWN in a window that keeps no binds",
      "UNKNOWN",
      [report("a", [bind({ state: BindState.UNBOUND })])],
      {
        operator: operatorWith({
          maintenanceWindows: [{ id: "w", start: agoBy(MINUTE), end: agoBy(-MINUTE), keepBinds: false }],
        }),
      },
    ],
    [
      "UP in a window that keeps them",
      "UP",
      [report("a", two)],
      { operator: operatorWith({ maintenanceWindows: [{ id: "w", start: agoBy(MINUTE), end: agoBy(-MINUTE) }] }) },
    ],
    [
      "UNKNOWN in MAINTENANCE that keeps none",
      "UNKNOWN",
      [report("a", two)],
      { operator: operatorWith({ adminState: AdminState.MAINTENANCE, effectiveState: AdminState.MAINTENANCE }) },
    ],
    [
      "UP in MAINTENANCE that keeps them",
      "UP",
      [report("a", two)],
      {
        operator: operatorWith({
          adminState: AdminState.MAINTENANCE,
          effectiveState: AdminState.MAINTENANCE,
          keepBinds: true,
        }),
      },
    ],
    [
      "of no other link's or re-created operator's reports",
      "UNKNOWN",
      [report("a", two, { connectionId: "other" }), report("b", two, { operatorUid: oldId })],
    ],
  ];
  it.each(cases)("%s", (_name, expected, reports, more) => {
    expect(summary(fold(reports, more))).toBe(expected);
  });

  it("UNKNOWN when the operator has no such connection", () => {
    expect(summary(fold([report("a", two)], { connectionId: "toString" }))).toBe("UNKNOWN");
  });
});

describe("hysteresis", () => {
  const back = (goodStreak: number, boundFor: number, flaps = 0) =>
    report("a", [bind({ boundSince: agoBy(boundFor) }), bind({ boundSince: agoBy(boundFor) })], { goodStreak, flaps });

  it("lets a first observation and whatever is worse apply at once", () => {
    expect(summary(fold([back(0, 0)]))).toBe("UP");
    expect(summary(fold([report("a", [failed()])], { recorded: recorded(UP) }))).toBe("DOWN NO_BIND");
    expect(summary(fold([back(1, 0)], { recorded: recorded(UNKNOWN) }))).toBe("UP");
  });

  it.each([
    [DOWN, OperationalReason.NO_BIND, "DOWN NO_BIND"],
    [AUTH_FAILED, OperationalReason.AUTH_REJECTED, "AUTH_FAILED AUTH_REJECTED"],
    [DEGRADED, OperationalReason.ERROR_RATE, "DEGRADED WARNING ERROR_RATE"],
    [THROTTLED, OperationalReason.THROTTLED_BY_VENDOR, "THROTTLED THROTTLED_BY_VENDOR"],
  ])("needs three good reports to be UP after %s", (state, reason, held) => {
    const before = recorded(state, { reason });
    expect(summary(fold([back(2, 10 * SECOND)], { recorded: before }))).toBe(held);
    expect(summary(fold([back(3, 10 * SECOND)], { recorded: before }))).toBe("UP");
  });

  it("needs them of every node that is well", () => {
    const before = recorded(DEGRADED, { reason: OperationalReason.BINDS_MISSING });
    const nodes = (goodStreak: number) => [report("a", [bind()]), report("b", [bind()], { goodStreak })];
    expect(summary(fold(nodes(2), { recorded: before }))).toBe("DEGRADED WARNING BINDS_MISSING");
    expect(summary(fold(nodes(3), { recorded: before }))).toBe("UP");
  });

  it("lets a link that has some binds come back from DOWN, without a streak, after as long", () => {
    const some = (boundFor: number) =>
      report("a", [bind({ boundSince: agoBy(boundFor) }), failed()], { goodStreak: 0 });
    const before = recorded(DOWN, { reason: OperationalReason.NO_BIND });
    expect(summary(fold([some(10 * SECOND)], { recorded: before }))).toBe("DOWN NO_BIND");
    expect(summary(fold([some(20 * SECOND)], { recorded: before }))).toBe("DEGRADED WARNING BINDS_MISSING");
  });

  it("backs off longer with every loss in the last hour, up to 5 minutes, and says when to look again", () => {
    const before = recorded(DOWN, { reason: OperationalReason.NO_BIND });
    const waits = (flaps: number) => {
      const { recheckAt } = fold([back(3, 0, flaps)], {
        recorded: before,
        operator: operatorWith({ healthPolicy: { reportIntervalsUntilUnknown: 100 } }),
      });
      return ((recheckAt?.getTime() ?? 0) - start) / SECOND;
    };
    // Two binds: two losses are one of the link.
    for (const [flaps, least, most] of [
      [2, 24, 30],
      [6, 72, 90],
      [100, 240, 300],
    ] as const) {
      expect(waits(flaps)).toBeGreaterThanOrEqual(least);
      expect(waits(flaps)).toBeLessThanOrEqual(most);
    }
    expect(summary(fold([back(3, 31 * SECOND, 2)], { recorded: before }))).toBe("UP");
  });

  it("keeps BINDS_MISSING when an edit of the configuration makes the shortfall look young", () => {
    const operator = operatorWith({}, { updateTime: agoBy(SECOND) });
    const before = recorded(DEGRADED, { reason: OperationalReason.BINDS_MISSING });
    expect(summary(fold([report("a", [bind()])], { operator, recorded: before }))).toBe(
      "DEGRADED WARNING BINDS_MISSING",
    );
  });

  it("keeps DOWN while the next attempt is under way", () => {
    const trying = [report("a", [bind({ state: BindState.CONNECTING })])];
    expect(summary(fold(trying, { recorded: recorded(DOWN, { reason: OperationalReason.ENQUIRE_LINK_MISSED }) }))).toBe(
      "DOWN ENQUIRE_LINK_MISSED",
    );
  });
});

describe("the time of a state", () => {
  it("is the recorded one as long as state and grade are the same", () => {
    const before = recorded(UP);
    expect(timestampDate(fold([report("a", two)], { recorded: before }).health.since!)).toEqual(before.time);
  });

  it("is what the reports tell where it changed, the same on every pod", () => {
    for (const now of [start + 30 * SECOND, start + 90 * SECOND]) {
      const { health } = fold([report("a", two)], { now, recorded: recorded(UP) });
      expect(timestampDate(health.since!).getTime()).toBe(start + 30 * SECOND);
    }
  });

  it("alerts after alert_hold, not sooner, and not in maintenance", () => {
    const down = (since: number, more = {}) =>
      fold([report("a", [failed()])], {
        recorded: recorded(DOWN, { time: new Date(since), reason: OperationalReason.NO_BIND }),
        ...more,
      });
    expect(down(start - 59 * SECOND).health.alerting).toBe(false);
    expect(down(start - 59 * SECOND).recheckAt).toEqual(new Date(start + SECOND));
    expect(down(start - 60 * SECOND).health.alerting).toBe(true);
    const operator = operatorWith({}, { maintenanceWindows: [{ id: "w", start: agoBy(MINUTE), end: agoBy(-MINUTE) }] });
    expect(down(start - 60 * SECOND, { operator }).health.alerting).toBe(false);
  });

  it("last good is the last report with a bind, or what a node says by the distance on its own clock", () => {
    expect(timestampDate(fold([report("a", two)], { now: start + MINUTE }).health.lastGoodTime!)).toEqual(
      new Date(start),
    );
    const skewed = report("a", [failed()], {
      reportTime: timestampFromMs(5 * MINUTE),
      lastGoodTime: timestampFromMs(3 * MINUTE),
    });
    expect(timestampDate(fold([skewed]).health.lastGoodTime!)).toEqual(new Date(start - 2 * MINUTE));
  });

  it("is looked at again when a node would be silent, and when a shortfall is too long", () => {
    expect(fold([report("a", two)]).recheckAt).toEqual(new Date(start + 30 * SECOND));
    expect(fold([report("a", [bind(), failed({ unboundSince: agoBy(119 * SECOND) })])]).recheckAt).toEqual(
      new Date(start + SECOND),
    );
    expect(fold([]).recheckAt).toBeUndefined();
  });
});

describe("a node's clock", () => {
  it("counts by its differences only: a wrong one changes nothing", () => {
    const shifted = (by: number) => {
      const clock = (ms: number) => timestampFromMs(start + by - ms);
      const binds = [
        bind({ since: clock(MINUTE), boundSince: clock(MINUTE) }),
        failed({ since: clock(3 * MINUTE), unboundSince: clock(3 * MINUTE) }),
      ];
      return fold([report("a", binds, { reportTime: clock(0), lastGoodTime: clock(2 * MINUTE) })]).health;
    };
    const { state, reasons, since, lastGoodTime, alerting } = shifted(0);
    for (const by of [-2 * MINUTE, 2 * MINUTE, -400 * 24 * 60 * MINUTE])
      expect(shifted(by)).toMatchObject({ state, reasons, since, lastGoodTime, alerting });
  });
});

describe("what is shown", () => {
  it("counts binds and names the nodes that can send", () => {
    const { health, cause } = fold(
      [
        report("a", [bind(), bind({ role: BindRole.RX })], { sequence: 7 }),
        report("b", [bind({ role: BindRole.RX }), failed()], { sequence: 9 }),
        report("c", two, { sequence: 8, leaving: true }),
      ],
      { knownNodes: new Set(["a"]) },
    );
    expect(health).toMatchObject({
      bindsWanted: 2,
      bindsBound: 3,
      transmittersBound: 1,
      receiversBound: 3,
      holders: ["a"],
    });
    expect(health.observers.map(({ node, leaving, knownNode }) => ({ node, leaving, knownNode }))).toEqual([
      { node: "a", leaving: false, knownNode: true },
      { node: "b", leaving: false, knownNode: false },
      { node: "c", leaving: true, knownNode: false },
    ]);
    expect(cause).toBe(9);
  });

  it("wants what the override says until it expires, and every bind on every endpoint with ONE_EACH", () => {
    const value = { case: "bind" as const, value: { role: BindRole.TRX, count: 5 } };
    const operator = operatorWith({
      overrides: [create(OverrideSchema, { value, expireTime: timestampFromMs(start + MINUTE) })],
    });
    expect(fold([], { operator }).health.bindsWanted).toBe(5);
    expect(fold([], { operator }).recheckAt).toEqual(new Date(start + MINUTE));
    expect(fold([], { operator, now: start + MINUTE }).health.bindsWanted).toBe(2);
    const endpoints = { a: {}, b: {}, c: { roles: [BindRole.RX] } };
    expect(fold([], { operator: operatorWith({ endpointPolicy: 3, endpoints }) }).health.bindsWanted).toBe(4);
  });

  it("adds up the figures of all nodes", () => {
    const of = (node: string, rate: number, age: number) =>
      report(node, [bind()], {
        quality: {
          segments: { ok: 100, unknown: 1 },
          commandStatuses: { 8: 2, [rate]: 1 },
          latency: { buckets: { [-3]: 1, 10: 2 }, sumMilliseconds: 5, maxMilliseconds: rate },
          receipts: { submitted: 10, delivered: 9 },
          queueDepth: 3,
          oldestQueuedAge: durationFromMs(age),
          observedRate: rate,
        },
      });
    const { quality, observedRate } = fold([of("a", 10, 1_000), of("b", 20, 500)]).health;
    expect(observedRate).toBe(30);
    expect(quality).toMatchObject({
      segments: { ok: 200, unknown: 2 },
      commandStatuses: { 8: 4, 10: 1, 20: 1 },
      latency: { buckets: { [-3]: 2, 10: 4 }, sumMilliseconds: 10, maxMilliseconds: 20 },
      receipts: { submitted: 20, delivered: 18 },
      queueDepth: 6,
      oldestQueuedAge: durationFromMs(1_000),
      observedRate: 30,
    });
    expect(quality?.throttledRate).toBeUndefined();
  });

  it("limits to the sum of the reduced rates, the others having their share", () => {
    const throttled = report("a", [bind()], { quality: { throttledRate: 20 } });
    expect(fold([throttled]).health.currentLimit).toBe(20);
    expect(fold([throttled, report("b", [bind()])]).health.currentLimit).toBe(70);
    expect(fold([report("a", two)]).health.currentLimit).toBe(100);
    const perBind = operatorWith({ throughput: { maxSegmentsPerSecond: 100, scope: ThroughputScope.BIND } });
    expect(fold([], { operator: perBind }).health.currentLimit).toBe(200);
    expect(fold([], { operator: operatorWith({}, { maxSegmentsPerSecond: 60 }) }).health.currentLimit).toBe(60);
    const overrides = [
      create(OverrideSchema, { value: { case: "maxSegmentsPerSecond", value: 30 }, expireTime: agoBy(-MINUTE) }),
    ];
    expect(fold([], { operator: operatorWith({ overrides }) }).health.currentLimit).toBe(30);
  });

  it("shows each node's own view", () => {
    const views = fold(
      [report("a", two), report("b", [failed({ lastBindStatus: 0x0f })], { at: start + 35 * SECOND }), later],
      { now: start + 40 * SECOND },
    ).health.observers;
    expect(
      views.map(({ node, state, reasons }) => [
        node,
        OperationalState[state],
        ...reasons.map((reason) => OperationalReason[reason]),
      ]),
    ).toEqual([
      ["a", "UNKNOWN", "NO_REPORT"],
      ["b", "UP"],
    ]);
  });
});

it("the latest report of a node is the one with the highest sequence, whatever its time and epoch", () => {
  const old = report("a", two, { sequence: 4, at: start + MINUTE, epoch: 9n });
  const late = report("a", [failed()], { sequence: 5, at: start, epoch: 1n });
  for (const reports of [
    [old, late],
    [late, old],
    [late, old, late],
  ])
    expect(latestPerNode(reports)).toEqual([late]);
});
