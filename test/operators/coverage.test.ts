import type { JsonObject } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { darkKeys, liveCoverage, lookupKeys, sameOrBroader } from "../../src/operators/coverage.ts";
import { operatorOf } from "./operators.ts";

type Entry = JsonObject;

/** An ENABLED operator whose connections cover this. */
function covering(...connections: Entry[][]): Operator {
  const state = { adminState: "ADMIN_STATE_ENABLED" };
  const entries = connections.map((coverage, index) => [`c${index}`, { ...state, weight: 100, coverage }] as const);
  return operatorOf({ ...state, createTime: "2026-01-01T00:00:00Z", connections: Object.fromEntries(entries) });
}

const live = (...connections: Entry[][]): string[] => liveCoverage(covering(...connections));

describe("live coverage", () => {
  test.each<[string, Entry[][], string[]]>([
    [
      "names every kind of entry",
      [[{ mccmnc: "26201" }, { mcc: "310" }, { prefix: "4932" }, { any: true }]],
      ["any", "mcc:310", "mccmnc:26201", "prefix:4932"],
    ],
    ["joins the connections", [[{ mcc: "262" }], [{ mcc: "310" }]], ["mcc:262", "mcc:310"]],
    ["keeps leading zeros", [[{ mccmnc: "00101" }]], ["mccmnc:00101"]],
    ["names a hole", [[{ mcc: "262" }, { mccmnc: "26201", deny: true }]], ["!mccmnc:26201", "mcc:262"]],
    [
      "names no hole that another connection fills",
      [[{ mcc: "262" }, { mccmnc: "26201", deny: true }], [{ any: true }]],
      ["any", "mcc:262", "mccmnc:26201"],
    ],
    [
      "ignores what a broader deny of the same connection excludes",
      [[{ mccmnc: "26201" }, { mcc: "262", deny: true }]],
      [],
    ],
    ["counts a weight of 0 as no route", [[{ mcc: "262", weight: 0 }]], []],
    [
      "lets an entry's weight beat a broader one's",
      [[{ mcc: "262" }, { mccmnc: "26201", weight: 0 }]],
      ["!mccmnc:26201", "mcc:262"],
    ],
    [
      "lets a narrower entry route where the broader has weight 0",
      [[{ mcc: "262", weight: 0 }, { mccmnc: "26201" }]],
      ["mccmnc:26201"],
    ],
  ])("%s", (_, connections, expected) => {
    expect(live(...connections)).toEqual(expected);
  });

  test.each([AdminState.DRAFT, AdminState.TESTING, AdminState.DRAINING, AdminState.MAINTENANCE, AdminState.DISABLED])(
    "is empty in state %i, of the operator or the connection",
    (state) => {
      const operator = covering([{ any: true }]);
      operator.adminState = state;
      expect(liveCoverage(operator)).toEqual([]);
      operator.adminState = AdminState.ENABLED;
      operator.connections["c0"]!.adminState = state;
      expect(liveCoverage(operator)).toEqual([]);
    },
  );

  test("is empty once the operator is deleted", () => {
    const operator = covering([{ any: true }]);
    operator.deleteTime = operator.createTime!;
    expect(liveCoverage(operator)).toEqual([]);
  });
});

describe("the last route", () => {
  // What the operator covered, what it covers after, the others, and what is left dark.
  test.each<[string, Entry[][], Entry[][], Entry[][][], string[]]>([
    ["is lost with the only operator", [[{ mccmnc: "26201" }]], [], [], ["mccmnc:26201"]],
    ["is not lost when another covers the same", [[{ mccmnc: "26201" }]], [], [[[{ mccmnc: "26201" }]]], []],
    ["is not lost when another covers the country", [[{ mccmnc: "26201" }]], [], [[[{ mcc: "262" }]]], []],
    [
      "is not lost when another covers everything",
      [[{ mccmnc: "26201" }, { prefix: "49" }]],
      [],
      [[[{ any: true }]]],
      [],
    ],
    ["is not lost when another connection covers it", [[{ mcc: "262" }], [{ mcc: "262" }]], [[{ mcc: "262" }]], [], []],
    ["is lost when another covers only a part", [[{ mcc: "262" }]], [], [[[{ mccmnc: "26201" }]]], ["mcc:262"]],
    [
      "is lost where another denies it",
      [[{ mccmnc: "26201" }]],
      [],
      [[[{ any: true }, { mccmnc: "26201", deny: true }]]],
      ["mccmnc:26201"],
    ],
    [
      "is lost where another denies a broader key",
      [[{ mccmnc: "26201" }]],
      [],
      [[[{ any: true }, { mcc: "262", deny: true }]]],
      ["mccmnc:26201"],
    ],
    [
      "is lost in a part that another denies",
      [[{ mcc: "262" }]],
      [],
      [[[{ any: true }, { mccmnc: "26201", deny: true }]]],
      ["mccmnc:26201"],
    ],
    [
      "is not lost where others complete each other",
      [[{ mcc: "262" }]],
      [],
      [[[{ mcc: "262" }, { mccmnc: "26201", deny: true }]], [[{ mccmnc: "26201" }]]],
      [],
    ],
    [
      "is not lost where it was denied before",
      [[{ mcc: "262" }, { mccmnc: "26201", deny: true }]],
      [],
      [[[{ mcc: "262" }, { mccmnc: "26201", deny: true }]]],
      [],
    ],
    ["is lost for prefixes like for networks", [[{ prefix: "4932" }]], [], [[[{ prefix: "49321" }]]], ["prefix:4932"]],
    ["is not lost when another has a shorter prefix", [[{ prefix: "4932" }]], [], [[[{ prefix: "4" }]]], []],
    ["of a network is not saved by a prefix", [[{ mccmnc: "26201" }]], [], [[[{ prefix: "49" }]]], ["mccmnc:26201"]],
    ["of 31026 is not saved by 310260", [[{ mccmnc: "31026" }]], [], [[[{ mccmnc: "310260" }]]], ["mccmnc:31026"]],
    [
      "is lost with a new deny of its own",
      [[{ mcc: "262" }]],
      [[{ mcc: "262" }, { mccmnc: "26201", deny: true }]],
      [],
      ["mccmnc:26201"],
    ],
    ["is lost with a weight of 0", [[{ mcc: "262" }]], [[{ mcc: "262", weight: 0 }]], [], ["mcc:262"]],
    ["is not saved by another's weight of 0", [[{ mcc: "262" }]], [], [[[{ mcc: "262", weight: 0 }]]], ["mcc:262"]],
  ])("%s", (_, before, after, others, expected) => {
    expect(
      darkKeys(
        live(...before),
        live(...after),
        others.map((connections) => live(...connections)),
      ),
    ).toEqual(expected);
  });

  test("is looked for under the key and all broader ones", () => {
    expect(lookupKeys(["mccmnc:26201", "prefix:493"])).toEqual([
      "mccmnc:26201",
      "mcc:262",
      "any",
      "prefix:493",
      "prefix:49",
      "prefix:4",
    ]);
  });
});

// Destinations and entries from a small world, so that they meet often.
const entry = fc.record({
  kind: fc.constantFrom<JsonObject>(
    { any: true },
    { mcc: "262" },
    { mcc: "310" },
    { mccmnc: "26201" },
    { mccmnc: "26202" },
    { mccmnc: "31001" },
    { prefix: "4" },
    { prefix: "49" },
    { prefix: "493" },
  ),
  more: fc.constantFrom<JsonObject>({}, {}, { deny: true }, { weight: 0 }),
});
const coverage = fc.uniqueArray(entry, { selector: ({ kind }) => JSON.stringify(kind), maxLength: 6 });
const connections = fc.array(
  coverage.map((entries) => entries.map(({ kind, more }) => ({ ...kind, ...more }))),
  { maxLength: 3 },
);
const destinations = [
  "mccmnc:26201",
  "mccmnc:26202",
  "mccmnc:26209",
  "mccmnc:31001",
  "mccmnc:31009",
  "mccmnc:99999",
  "prefix:4931",
  "prefix:4911",
  "prefix:4811",
  "prefix:1",
];

/** Whether the operator routes a destination, straight from the rules of routing, connection by connection. */
function routes(operator: Operator, destination: string): boolean {
  return Object.values(operator.connections).some(({ coverage: entries, weight }) => {
    const keys = entries.map(({ kind }) => (kind.case === "any" ? "any" : `${kind.case}:${String(kind.value)}`));
    const matching = sameOrBroader(destination).flatMap((key) =>
      keys.includes(key) ? [entries[keys.indexOf(key)]!] : [],
    );
    return matching.length > 0 && !matching.some(({ deny }) => deny) && (matching[0]!.weight ?? weight) !== 0;
  });
}

describe("coverage keys agree with the rules of routing", () => {
  const routedBy = (keys: string[], destination: string): boolean =>
    darkKeys([...keys, destination], keys, []).includes(destination) === false;

  test("for every destination of an operator", () => {
    fc.assert(
      fc.property(connections, fc.constantFrom(...destinations), (given, destination) => {
        const operator = covering(...given);
        expect(routedBy(liveCoverage(operator), destination)).toBe(routes(operator, destination));
      }),
      { numRuns: 500 },
    );
  });

  test("and a change leaves a key dark when it leaves a destination without a route", () => {
    fc.assert(
      fc.property(connections, connections, fc.array(connections, { maxLength: 2 }), (given, then, others) => {
        const [before, after, rest] = [
          covering(...given),
          covering(...then),
          others.map((other) => covering(...other)),
        ];
        const dark = darkKeys(liveCoverage(before), liveCoverage(after), rest.map(liveCoverage));
        const cut = destinations.filter(
          (d) => routes(before, d) && ![after, ...rest].some((operator) => routes(operator, d)),
        );
        if (cut.length > 0) expect(dark).not.toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
