import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  HealthReportSchema,
  HealthTransitionSchema,
  OperationalReason,
  OperationalState,
  type HealthTransition,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InProcessBus } from "../../src/backends/bus/in-process-bus.ts";
import { until } from "../cluster/until.ts";
import {
  linkedOperator,
  publishReport,
  reportOf,
  startHealthPod,
  type HealthPod,
  type HealthPodOptions,
} from "./support/health-pods.ts";

const acme = linkedOperator("acme");
const link = { operatorUid: acme.uid, connectionId: "main" };
let bus: InProcessBus;
let pods: HealthPod[];
let transitions: HealthTransition[];

beforeEach(() => {
  bus = new InProcessBus();
  pods = [];
  transitions = [];
  bus.follow("OPS_STATE", ({ data }) => void transitions.push(fromBinary(HealthTransitionSchema, data)));
});

afterEach(async () => {
  for (const pod of pods) await pod.close();
  await bus.close();
});

function start(options: HealthPodOptions = {}): HealthPod {
  const pod = startHealthPod(bus, [acme], { maxDelayMs: 20, ...options });
  pods.push(pod);
  return pod;
}

const stateOn = (pod: HealthPod) => pod.tracker.of("acme", acme.uid, "main")?.state;
const told = () => transitions.map(({ from, to }) => [from, to]);
const { UNKNOWN, UP, DOWN } = OperationalState;

describe("transitions of a link", () => {
  test("a link of which nothing was ever heard is UNKNOWN, and that is no transition", async () => {
    const pod = start();
    await pod.tracker.caughtUp;
    expect(stateOn(pod)).toBe(UNKNOWN);
    expect(told()).toEqual([]);
  });

  test("the first report applies at once, on every pod, and is recorded once", async () => {
    const [one, two, three] = [start(), start(), start()];
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    for (const pod of [one, two, three]) await until("it is UP", () => stateOn(pod) === UP);
    await until("it is recorded", () => transitions.length > 0);
    expect(transitions).toMatchObject([
      { operatorId: "acme", operatorUid: acme.uid, connectionId: "main", from: UNKNOWN, to: UP, observers: ["conn-1"] },
    ]);
    // Time passes in which the others could have recorded it too.
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("all have heard the second", () => pods.every(({ tracker }) => tracker.counts.reports >= 2));
    await until("nobody has anything left to record", () => pods.every(({ recorder }) => recorder.waiting === 0));
    expect(told()).toEqual([[UNKNOWN, UP]]);
  });

  test("each begins where the one before ended, whichever pod records it", async () => {
    for (let count = 0; count < 3; count++) start();
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("UP is recorded", () => transitions.length === 1);
    await publishReport(bus, reportOf(acme, "conn-1", 0, { goodStreak: 0 }));
    await until("DOWN is recorded", () => transitions.length === 2);
    expect(told()).toEqual([
      [UNKNOWN, UP],
      [UP, DOWN],
    ]);
    expect(transitions[1]).toMatchObject({ reason: OperationalReason.NO_BIND });
    expect(transitions[1]!.cause).toBeGreaterThan(transitions[0]!.cause);
  });

  test("a pod that starts later knows the last state and since when, and records nothing", async () => {
    start();
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("it is recorded", () => transitions.length === 1);
    const late = start();
    await until("it is UP there too", () => stateOn(late) === UP);
    await late.tracker.caughtUp;
    expect(late.tracker.of("acme", acme.uid, "main")?.since).toEqual(transitions[0]!.time);
    expect(late.recorder.recorded).toBe(0);
  });

  test("silence becomes UNKNOWN, which is recorded once though no report brings it", async () => {
    let ahead = 0;
    const now = (): Date => new Date(Date.now() + ahead);
    for (let count = 0; count < 3; count++) start({ now });
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("UP is recorded", () => transitions.length === 1);
    ahead = 60_000;
    await until("UNKNOWN is recorded", () => transitions.length === 2);
    await until("nobody has anything left to record", () => pods.every(({ recorder }) => recorder.waiting === 0));
    expect(told()).toEqual([
      [UNKNOWN, UP],
      [UP, UNKNOWN],
    ]);
    expect(transitions[1]).toMatchObject({ reason: OperationalReason.NO_REPORT });
  });

  test("a stream that has lost its messages is written on, not given up", async () => {
    const pod = start({ consumes: false });
    pod.tracker.noteRecorded(link, {
      transition: create(HealthTransitionSchema, { to: DOWN, time: { seconds: 1n } }),
      sequence: 999, // which the stream doesn't have any more
      time: new Date(),
    });
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("it is recorded", () => transitions.length === 1);
    expect(told()).toEqual([[DOWN, UP]]);
  });

  test("reports of an operator that isn't there change nothing", async () => {
    const pod = start();
    await publishReport(bus, reportOf(linkedOperator("other"), "conn-1", 2));
    await until("it is read", () => pod.tracker.counts.reports === 1);
    expect(pod.tracker.compute({ operatorUid: linkedOperator("other").uid, connectionId: "main" })).toBeUndefined();
    expect(told()).toEqual([]);
  });

  test("a report under another's subject is a dead letter, and nobody's view", async () => {
    const pod = start();
    const letters: string[] = [];
    bus.follow("OPS_DLQ", ({ subject }) => void letters.push(subject));
    const forged = create(HealthReportSchema, { ...reportOf(acme, "conn-1", 2), connectionId: "other" });
    const { signal } = new AbortController();
    await bus.publish(`ops.health.v1.${acme.uid}.main.conn-1`, toBinary(HealthReportSchema, forged), { signal });
    await until("it is a dead letter", () => letters.length === 1);
    expect(letters).toEqual(["ops.dlq.v1.OPS_HEALTH"]);
    expect(pod.tracker.compute(link)?.health.state).toBe(UNKNOWN);
  });

  test("a node can't speak for another on a subject of its own", async () => {
    const pod = start();
    await publishReport(bus, reportOf(acme, "victim", 2));
    await until("it is UP", () => stateOn(pod) === UP);
    const forged = reportOf(acme, "victim", 0, { leaving: true });
    const { signal } = new AbortController();
    await bus.publish(`ops.health.v1.${acme.uid}.main.evil`, toBinary(HealthReportSchema, forged), { signal });
    await until("it is read", () => pod.tracker.counts.reports === 2);
    expect(pod.tracker.compute(link)?.health.state).toBe(UP);
  });

  test("times that no clock can have are survived", async () => {
    const pod = start();
    const [first, last] = [-62_135_596_800n, 253_402_300_799n]; // the years 1 and 9999
    await publishReport(
      bus,
      reportOf(acme, "conn-1", 2, { reportTime: { seconds: last }, lastGoodTime: { seconds: first } }),
    );
    await until("it is UP", () => stateOn(pod) === UP);
    const wild = { reportTime: { seconds: 2n ** 63n - 1n }, lastGoodTime: { seconds: -(2n ** 63n) } };
    await publishReport(bus, reportOf(acme, "conn-1", 0, wild));
    await until("it is DOWN", () => stateOn(pod) === DOWN);
    await until("it is recorded", () => transitions.length === 2);
  });

  test("a link that was deleted and undeleted is recorded as before", async () => {
    const pod = start();
    await publishReport(bus, reportOf(acme, "conn-1", 2));
    await until("UP is recorded", () => transitions.length === 1);
    pod.setOperators();
    await until("it is gone", () => stateOn(pod) === undefined);
    pod.setOperators(acme);
    await publishReport(bus, reportOf(acme, "conn-1", 0));
    await until("DOWN is recorded", () => transitions.length === 2);
    expect(told()).toEqual([
      [UNKNOWN, UP],
      [UP, DOWN],
    ]);
  });

  test("pods that don't agree, as one's clock is wrong, don't overwrite each other for ever", async () => {
    start();
    const ahead = start({ now: () => new Date(Date.now() + 60_000) });
    for (let count = 0; count < 40; count++) {
      await publishReport(bus, reportOf(acme, "conn-1", 2));
      await until("it is read", () => ahead.tracker.counts.reports > count);
      await until("it was looked at", () => ahead.recorder.recorded + ahead.recorder.waiting > 0);
    }
    expect(transitions.length).toBeGreaterThan(1); // they do disagree
    expect(transitions.length).toBeLessThan(25); // some thirty-five without the holds
  });
});
