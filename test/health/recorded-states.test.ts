import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { HealthTransitionSchema, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect, test } from "vitest";
import { RecordedStates } from "../../src/health/recorded-states.ts";
import { stateSubject } from "../../src/health/subjects.ts";
import { uidOf } from "./support/health-pods.ts";

const { UP, DOWN } = OperationalState;
const link = { operatorUid: uidOf("acme"), connectionId: "main" };
const TIMES = 6;

/** By turns UP and DOWN; how often it went back, for whoever hears of each transition in both ways. */
function reversals(first: "the bus" | "the publisher"): number | undefined {
  const states = new RecordedStates();
  for (let sequence = 1; sequence <= TIMES; sequence++) {
    const [from, to] = sequence % 2 === 0 ? [UP, DOWN] : [DOWN, UP];
    const keptAt = sequence * 1_000;
    const transition = create(HealthTransitionSchema, { ...link, from, to, time: timestampFromMs(keptAt - 5) });
    const data = toBinary(HealthTransitionSchema, transition);
    const message = { subject: stateSubject(link), data, headers: {}, sequence, time: new Date(keptAt) };
    if (first === "the bus") states.take(message);
    states.note(link, { transition, sequence, time: new Date(keptAt + 5) });
    if (first === "the publisher") states.take(message);
  }
  return states.of(link)?.reversals;
}

test("a link that goes back and forth is known for it, whichever way its transitions are heard of first", () => {
  expect(reversals("the publisher")).toBe(TIMES - 1);
  expect(reversals("the bus")).toBe(TIMES - 1);
});
