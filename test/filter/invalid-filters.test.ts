import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";

function refusal(text: string): ConnectError {
  try {
    parseFilter(text);
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

describe("a filter that can't be understood is FILTER_INVALID, with the position and what is possible", () => {
  test.each([
    ["kind", 1, "write field = value"],
    ['"MNO"', 1, "write field = value"],
    ["id = a and id = b", 8, "AND, OR and NOT are written in capitals"],
    ["kind = FOO", 8, "possible are MNO, AGGREGATOR, HUB, SIMULATOR"],
    ["kind = OPERATOR_KIND_MNO", 8, "possible are MNO"],
    ["kind = UNSPECIFIED", 8, "possible are MNO"],
    ["kind = M*", 8, "possible are MNO"],
    ["admin_state = enabled", 15, "possible are DRAFT, TESTING, ENABLED, DRAINING, MAINTENANCE, DISABLED"],
    ["kind < MNO", 1, "no order"],
    ["network > 26201", 1, "no order"],
    ["network = 2621", 11, "5 or 6 digits"],
    ["network = 26a*", 11, "5 or 6 digits"],
    ["country = DE", 1, "possible are id, kind, admin_state, network and labels.<key>"],
    ["id.x = a", 4, "has no fields"],
    ["labels = a", 1, "labels.<key>"],
    ["labels.Env = a", 8, "a label's key"],
    ["labels.a.b = c", 10, "labels have no fields"],
    ["id = a*b AND id < a*", 19, "no wildcard"],
    ["id = (a OR b)", 6, "repeat the field"],
    ["regex(id)", 1, "no functions"],
    ["id = lower(a)", 6, "no functions"],
    ["(id = a", 1, "never closed"],
    ["id = a)", 7, "never opened"],
    ["()", 2, "empty"],
    ["id =", 5, "ends too early"],
    ["NOT", 4, "ends too early"],
    ["id = a AND", 11, "ends too early"],
    ["AND id = a", 1, "AND is not expected"],
    ["id = a OR OR id = b", 11, "OR is not expected"],
    ["NOT NOT id = a", 5, "NOT is not expected"],
    ["id = = a", 6, "= is not expected"],
    ["id == a", 5, "= is not expected"],
    ['id = "abc', 6, "no end"],
    ['id = "a\\n"', 6, "escape"],
    ["id ! a", 4, "lone !"],
    ["id = a\\b", 7, "can't stand outside quotes"],
    ["id = a\u0000", 7, "U+0000"],
    ["id = \ud800", 6, "U+D800"],
    ['id = "a"kind = MNO', 9, "put AND, OR or a space"],
    [`${"(".repeat(21)}id = a${")".repeat(21)}`, 21, "nested deeper than 20"],
    [`id = ${"a".repeat(4096)}`, 4097, "at most 4096"],
  ])("%s", (text, position, says) => {
    const error = refusal(text);
    expect(reasonOf(error)).toBe(ErrorReason.FILTER_INVALID);
    expect(error.rawMessage).toContain(says);
    expect(error.findDetails(ErrorInfoSchema)[0]?.metadata["position"]).toBe(String(position));
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("filter");
  });

  test("20 levels of parentheses are not too many", () => {
    expect(parseFilter(`${"(".repeat(20)}id = a${")".repeat(20)}`).canonical).toBe('id = "a"');
  });
});

const word = fc.constantFrom("a", "b*", "*", "-x", "1.2", '"q\\"\\\\ r"', "'s\\*'", '"ü 漢"', "a-b");
const comparison = fc
  .tuple(fc.constantFrom("id", "labels.k", "labels.other-key"), fc.constantFrom("=", "!=", ":", " : ", " = "), word)
  .map((parts) => parts.join(""));
const closed = fc.constantFrom("kind=MNO", "admin_state != DRAFT", "network = 26201", "network:*", "labels:k");
const { sentence } = fc.letrec<{ sentence: string }>((tie) => ({
  sentence: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    comparison,
    closed,
    fc.tuple(tie("sentence"), fc.constantFrom(" ", " AND ", " OR "), tie("sentence")).map((parts) => parts.join("")),
    tie("sentence").map((text) => `(${text})`),
    tie("sentence").map((text) => `NOT (${text})`),
    tie("sentence").map((text) => `-(${text})`),
  ),
}));
const scrap = fc.constantFrom(
  "id",
  "labels",
  ".",
  "=",
  "!",
  "<",
  ":",
  "(",
  ")",
  "NOT",
  "AND",
  "OR",
  "-",
  '"',
  "'",
  "\\",
  "*",
  " ",
  "a",
  ",",
  "\u0000",
  "26201",
);

describe("for any text", () => {
  test("parsing ends, in a filter or in FILTER_INVALID", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(scrap, { maxLength: 30 }).map((parts) => parts.join("")),
      sentence,
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseFilter(text);
        } catch (error) {
          expect(reasonOf(error)).toBe(ErrorReason.FILTER_INVALID);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("the canonical text reads as itself", () => {
    fc.assert(
      fc.property(sentence, (text) => {
        fc.pre(text.length < 1500);
        const { canonical } = parseFilter(text);
        expect(parseFilter(canonical).canonical).toBe(canonical);
      }),
      { numRuns: 1000 },
    );
  });
});
