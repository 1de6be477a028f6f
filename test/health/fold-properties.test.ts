import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  BindStatusSchema,
  HealthReportSchema,
  OperationalState,
  type HealthReport,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { QualitySchema } from "@operator-management/contract/ops/v1/quality_pb.js";
import { toBinary } from "@bufbuild/protobuf";
import { ConnectionHealthSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ObservedReport } from "../../src/health/fold.ts";
import { latestPerNode } from "../../src/health/fold-latest.ts";
import { violationsOf } from "../../src/rpc/validate.ts";
import {
  activeId,
  bind,
  failed,
  fold,
  MINUTE,
  oldId,
  operatorWith,
  recordedOf,
  report,
  SECOND,
  settings,
  start,
  summary,
  uid,
} from "./fold-scene.ts";

// Longer than 250 lines because the simulated fleets that the properties are tried on stand beside them.

const count = fc.oneof(fc.nat(100), fc.constant(0xffff_ffff));
const amount = fc.oneof(fc.double({ min: 0, max: 1e4, noNaN: true }), fc.constant(Number.MAX_VALUE));
const time = fc.option(
  fc.oneof(
    fc.integer({ min: -60_000, max: 60_000 }).map((by) => timestampFromMs(start + by * 10)),
    fc.constant(create(TimestampSchema, { seconds: -62135596800n })),
  ),
  { nil: undefined },
);
const counts = <K extends string>(...names: K[]) => fc.record(Object.fromEntries(names.map((name) => [name, count])));

const anyBind = fc
  .record({
    role: fc.constantFrom(1, 2, 3),
    index: fc.nat(63),
    state: fc.constantFrom(1, 2, 3, 4, 5),
    credentialId: fc.constantFrom("", activeId, oldId),
    rejectedCredentialId: fc.constantFrom("", activeId, oldId),
    bindEtag: fc.constantFrom("", settings, "b".repeat(32)),
    since: time,
    boundSince: time,
    unboundSince: time,
    lastBindStatus: fc.option(fc.constantFrom(0, 5, 8, 0x0d, 0x0e, 0x0f, 0xffff_ffff), { nil: undefined }),
    detail: fc.constantFrom("", "connection refused"),
    enquireLinksMissed: fc.constantFrom(0, 1, 3, 0xffff_ffff),
  })
  .map((fields) => create(BindStatusSchema, fields));

const anyQuality = fc
  .record({
    segments: counts("ok", "temporary", "permanent", "throttled", "account", "message", "unknown"),
    commandStatuses: fc.dictionary(fc.nat(300).map(String), count, { maxKeys: 64 }),
    latency: fc.record({
      buckets: fc.dictionary(fc.integer({ min: -20, max: 120 }).map(String), count, { maxKeys: 20 }),
      sumMilliseconds: amount,
      maxMilliseconds: amount,
    }),
    receipts: counts(
      "submitted",
      "delivered",
      "expired",
      "deleted",
      "undeliverable",
      "accepted",
      "unknown",
      "rejected",
    ),
    queueDepth: count,
    oldestQueuedAge: fc.option(fc.integer({ min: -1_000, max: 1_000_000 }).map(durationFromMs), { nil: undefined }),
    throttledRate: fc.option(amount, { nil: undefined }),
    observedRate: amount,
  })
  .map((fields) => create(QualitySchema, fields));

const anyReport: fc.Arbitrary<HealthReport> = fc
  .record({
    node: fc.constantFrom("a", "b", "c", "d"),
    epoch: fc.bigInt(1n, 2n ** 64n - 1n),
    interval: fc.oneof(
      fc.integer({ min: 0, max: 86_400 }).map((s) => create(DurationSchema, { seconds: BigInt(s) })),
      fc.constant(durationFromMs(10_000)),
    ),
    leaving: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    reportTime: time,
    lastGoodTime: time,
    binds: fc.array(anyBind, { maxLength: 5 }),
    goodStreak: fc.nat(5),
    flaps: fc.oneof(fc.nat(5), fc.constant(0xffff_ffff)),
    quality: fc.option(anyQuality, { nil: undefined }),
  })
  .map((fields) => create(HealthReportSchema, { operatorUid: uid, connectionId: "main", ...fields }));

/** Reports in the order of a stream, none later than 100 s after the start. */
const stream: fc.Arbitrary<ObservedReport[]> = fc
  .array(fc.tuple(anyReport, fc.nat(20)), { minLength: 1, maxLength: 20 })
  .map((reports) => {
    let at = start;
    return reports.map(([each, gap], index) => ({
      report: each,
      sequence: index + 1,
      time: new Date((at += (gap * SECOND) / 4)),
    }));
  });

describe("for any valid reports", () => {
  it("the arbitrary reports are valid", () => {
    fc.assert(
      fc.property(anyReport, (each) => {
        expect(violationsOf(HealthReportSchema, each)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it("the result can be sent, is the same for the same input, and for every order, repetition and late delivery of it", () => {
    const input = stream.chain((reports) =>
      fc.record({
        reports: fc.constant(reports),
        shuffled: fc.shuffledSubarray([...reports, ...reports], { minLength: reports.length * 2 }),
        after: fc.nat(600),
      }),
    );
    fc.assert(
      fc.property(input, ({ reports, shuffled, after }) => {
        const now = start + 100 * SECOND + after * SECOND;
        const folded = fold(latestPerNode(reports), { now });
        expect(fold(latestPerNode(reports), { now })).toEqual(folded);
        expect(fold(shuffled, { now })).toEqual(folded);
        expect(toBinary(ConnectionHealthSchema, folded.health).length).toBeGreaterThan(0);
        if (folded.recheckAt !== undefined) expect(folded.recheckAt.getTime()).toBeGreaterThan(now);
      }),
      { numRuns: 60 },
    );
  });

  it("nothing changes by time alone before recheckAt says so", () => {
    fc.assert(
      fc.property(stream, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (reports, part) => {
        const now = start + 100 * SECOND;
        const folded = fold(reports, { now });
        const until = folded.recheckAt?.getTime() ?? now + 60 * MINUTE;
        const later = fold(reports, { now: now + Math.floor((until - now) * part) });
        expect([summary(later), later.health.alerting]).toEqual([summary(folded), folded.health.alerting]);
      }),
      { numRuns: 60 },
    );
  });

  it("pods that look at different moments and hear of reports in different orders record the same transitions", () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(7), { minLength: 1, maxLength: 5 }), (reports, order) => {
        const one = transitions(reports, (known) => known);
        // Redelivers old ones, and hears of some late: only within one moment of the stream, as every pod has all that the stream has.
        const other = transitions(reports, (known) => [
          ...order.flatMap((i) => known[i] ?? []),
          ...known.toReversed(),
          ...known,
        ]);
        expect(other).toEqual(one);
      }),
      { numRuns: 40 },
    );
  });
});

/** What a recorder writes that folds after every report, with the reports that `deliver` makes of those in the stream. */
function transitions(
  reports: readonly ObservedReport[],
  deliver: (known: readonly ObservedReport[]) => readonly ObservedReport[],
): string[] {
  let recorded: ReturnType<typeof recordedOf> | undefined;
  const written: string[] = [];
  for (const [index, { time: at }] of reports.entries()) {
    const now = at.getTime();
    const folded = fold(deliver(reports.slice(0, index + 1)), { now, recorded });
    const next = recordedOf(folded, now);
    if (recorded?.state === next.state && recorded.grade === next.grade) continue;
    recorded = next;
    written.push(`${next.time.toISOString()} ${summary(folded)} by ${next.cause}`);
  }
  return written;
}

describe("a simulated day", () => {
  /** Three nodes, each with a clock, an interval with jitter and two of six binds; their reports of a day in the stream's order. */
  function day({ seed, restart = false }: { readonly seed: number; readonly restart?: boolean }): ObservedReport[] {
    const random = mulberry(seed);
    const reports: ObservedReport[] = [];
    for (const [index, interval] of [5, 30, 120].entries()) {
      let skew = (index - 1) * 7 * MINUTE;
      let born = start - 60 * MINUTE;
      let epoch = 1n;
      let good = 10;
      for (
        let at = start + random() * interval * SECOND;
        at < start + 24 * 60 * MINUTE;
        at += interval * SECOND * (0.8 + 0.4 * random())
      ) {
        const now = Math.floor(at);
        if (restart && index === 1 && epoch === 1n && at > start + 6 * 60 * MINUTE) {
          skew -= 2 * MINUTE;
          [born, epoch, good] = [now, 2n, 0];
        }
        const since = timestampFromMs(born + skew);
        const binds = [0, 1].map((slot) => bind({ index: slot, since, boundSince: since }));
        const more = {
          at: now,
          epoch,
          goodStreak: ++good,
          interval: durationFromMs(interval * SECOND),
          reportTime: timestampFromMs(now + skew),
        };
        reports.push(report(`node-${index}`, binds, more));
      }
    }
    return reports
      .sort((a, b) => a.time.getTime() - b.time.getTime())
      .map((each, index) => ({ ...each, sequence: index + 1 }));
  }

  const operator = operatorWith({ binds: [{ role: 1, count: 6 }] });

  /** States that a pod saw which looks at the link every `every` ms, from `offset` on. */
  function seen(reports: readonly ObservedReport[], every: number, offset: number): Set<string> {
    const states = new Set<string>();
    const latest = new Map<string, ObservedReport>();
    let recorded: ReturnType<typeof recordedOf> | undefined;
    let next = 0;
    for (let now = start + 3 * MINUTE + offset; now < start + 24 * 60 * MINUTE; now += every) {
      for (; next < reports.length && reports[next]!.time.getTime() <= now; next++)
        latest.set(reports[next]!.report.node, reports[next]!);
      const folded = fold([...latest.values()], { operator, now, recorded });
      recorded = recordedOf(folded, now);
      states.add(summary(folded));
    }
    return states;
  }

  it("leaves a stable link UP on every pod", () => {
    for (const seed of [1, 2]) {
      const reports = day({ seed });
      for (const [every, offset] of [
        [307_000, 0],
        [409_000, 31_000],
      ] as const)
        expect(seen(reports, every, offset)).toEqual(new Set(["UP"]));
    }
  });

  it("leaves it UP when a node restarts at once with its clock two minutes back", () => {
    expect(seen(day({ seed: 3, restart: true }), 211_000, 500)).toEqual(new Set(["UP"]));
  });

  it("takes a link whose node is gone through the same states on every pod", () => {
    const all = day({ seed: 4 });
    const reports = all.filter(
      ({ report: { node }, time: at }) => node !== "node-1" || at.getTime() < start + 60 * MINUTE,
    );
    for (const offset of [0, 31_000])
      expect([...seen(reports, 239_000, offset)]).toEqual(["UP", "DEGRADED WARNING BINDS_MISSING"]);
  });
});

it("a link that fails and comes back goes through DOWN to UP, once each", () => {
  let recorded: ReturnType<typeof recordedOf> | undefined;
  const states: string[] = [];
  for (let i = 0; i < 30; i++) {
    const now = start + i * 10 * SECOND;
    const lost = i >= 5 && i < 10;
    const since = timestampFromMs(start + (i < 5 ? -60 : 100) * SECOND);
    const binds = lost
      ? [failed(), failed({ index: 1 })]
      : [bind({ boundSince: since }), bind({ index: 1, boundSince: since })];
    const good = lost ? 0 : i < 5 ? 10 : i - 9;
    const folded = fold([report("a", binds, { at: now, goodStreak: good, flaps: i < 5 ? 0 : 2 })], { now, recorded });
    recorded = recordedOf(folded, now);
    if (states.at(-1) !== OperationalState[folded.health.state])
      states.push(OperationalState[folded.health.state] ?? "");
  }
  expect(states).toEqual(["UP", "DOWN", "UP"]);
});

/** Numbers from 0 to 1 that are the same in every run. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
