import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { describe, expect, test } from "vitest";
import { effectiveState, requireMove, stateName } from "../../src/operators/state-rules.ts";
import { failureOf } from "./operators.ts";

const { DRAFT, TESTING, ENABLED, DRAINING, MAINTENANCE, DISABLED } = AdminState;
const states = [DRAFT, TESTING, ENABLED, DRAINING, MAINTENANCE, DISABLED];

// To:              DRAFT TESTING ENABLED DRAINING MAINTENANCE DISABLED
// prettier-ignore
const legal: [AdminState, ...(0 | 1)[]][] = [
  [DRAFT,           0,    1,      1,      0,       0,          0],
  [TESTING,         0,    0,      1,      0,       1,          1],
  [ENABLED,         0,    1,      0,      1,       1,          1],
  [DRAINING,        0,    0,      1,      0,       1,          1],
  [MAINTENANCE,     0,    1,      1,      0,       0,          1],
  [DISABLED,        0,    1,      1,      0,       1,          0],
];

describe("the state machine", () => {
  for (const [from, ...row] of legal) {
    for (const [index, allowed] of row.entries()) {
      const to = states[index] ?? DRAFT;
      test(`${stateName(from)} ${allowed === 1 ? "may" : "may not"} become ${stateName(to)}`, () => {
        if (allowed === 1) expect(() => requireMove("acme", from, to)).not.toThrow();
        else expect(failureOf(() => requireMove("acme", from, to)).reason).toBe(ErrorReason.ILLEGAL_STATE_TRANSITION);
      });
    }
  }

  test("names the possible moves when it refuses one", () => {
    expect(failureOf(() => requireMove("connections.main", DRAFT, DRAINING))).toMatchObject({
      text: "DRAFT cannot become DRAINING; possible: TESTING, ENABLED",
      metadata: { subject: "connections.main", from: "DRAFT", to: "DRAINING", possible: "TESTING, ENABLED" },
    });
  });
});

// Operator down, connection across.  DRAFT     TESTING      ENABLED      DRAINING     MAINTENANCE  DISABLED
// prettier-ignore
const caps: [AdminState, ...AdminState[]][] = [
  [DRAFT,                              DRAFT,    DRAFT,       DRAFT,       DRAFT,       DRAFT,       DISABLED],
  [TESTING,                            DRAFT,    TESTING,     TESTING,     DRAINING,    MAINTENANCE, DISABLED],
  [ENABLED,                            DRAFT,    TESTING,     ENABLED,     DRAINING,    MAINTENANCE, DISABLED],
  [DRAINING,                           DRAFT,    DRAINING,    DRAINING,    DRAINING,    MAINTENANCE, DISABLED],
  [MAINTENANCE,                        DRAFT,    MAINTENANCE, MAINTENANCE, MAINTENANCE, MAINTENANCE, DISABLED],
  [DISABLED,                           DRAFT,    DISABLED,    DISABLED,    DISABLED,    DISABLED,    DISABLED],
];

describe("the effective state", () => {
  for (const [operator, ...row] of caps) {
    for (const [index, expected] of row.entries()) {
      const connection = states[index] ?? DRAFT;
      test(`of ${stateName(connection)} under ${stateName(operator)} is ${stateName(expected)}`, () => {
        expect(effectiveState(operator, connection)).toBe(expected);
      });
    }
  }

  test("is never ENABLED with a state that this version doesn't know", () => {
    const unknown = 99 as AdminState;
    expect([effectiveState(unknown, ENABLED), effectiveState(ENABLED, unknown)]).toEqual([unknown, unknown]);
  });
});
