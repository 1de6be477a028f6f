import { fromBinary } from "@bufbuild/protobuf";
import { HealthTransitionSchema, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Bus, BusMessage } from "../../src/backends/bus/bus.ts";
import { InProcessBus } from "../../src/backends/bus/in-process-bus.ts";
import { until } from "../cluster/until.ts";
import { linkedOperator, publishReport, reportOf, startHealthPod, type HealthPod } from "./support/health-pods.ts";

const acme = linkedOperator("acme");
const link = { operatorUid: acme.uid, connectionId: "main" };
const { UNKNOWN, UP, DOWN } = OperationalState;

let bus: InProcessBus;
let pods: HealthPod[];
let transitions: OperationalState[];
/** Reports that have not reached the pod that is behind; undefined: it hears at once. */
let held: (() => void)[] | undefined;

beforeEach(() => {
  bus = new InProcessBus();
  pods = [];
  transitions = [UNKNOWN];
  held = undefined;
  bus.follow("OPS_STATE", ({ data }) => void transitions.push(fromBinary(HealthTransitionSchema, data).to));
});

afterEach(async () => {
  for (const pod of pods) await pod.close();
  await bus.close();
});

/** The bus as a process has it that was frozen, say: it hears of transitions before it hears of the reports that they rest on. */
function behind(): Bus {
  const follow: Bus["follow"] = (stream, take) => {
    const later = (message: BusMessage): void => {
      if (stream === "OPS_HEALTH" && held !== undefined) held.push(() => take(message));
      else take(message);
    };
    return bus.follow(stream, later);
  };
  return new Proxy<Bus>(bus, {
    get: (target, name) => {
      if (name === "follow") return follow;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

test("a process that has not heard of the newest reports doesn't record what older ones would mean", async () => {
  const late = startHealthPod(behind(), [acme], { maxDelayMs: 20, consumes: false });
  pods.push(late, startHealthPod(bus, [acme], { maxDelayMs: 20 }));
  await publishReport(bus, reportOf(acme, "conn-1", 2));
  await until("UP is recorded", () => transitions.at(-1) === UP);
  await until("the late one has heard it", () => late.tracker.of("acme", acme.uid, "main")?.state === UP);

  held = [];
  await publishReport(bus, reportOf(acme, "conn-1", 0));
  await until("DOWN is recorded", () => transitions.at(-1) === DOWN);
  await until("the late one knows of the transition", () => late.tracker.recordedOf(link)?.transition.to === DOWN);
  await until("but not of its report", () => held?.length === 1);
  const considered = late.recorder.consider(link, AbortSignal.timeout(10_000));
  await new Promise((resolve) => setTimeout(resolve, 600)); // two rounds of its recorder
  for (const take of held) take();
  await considered;
  expect(transitions).toEqual([UNKNOWN, UP, DOWN]);
});
