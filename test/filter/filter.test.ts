import { create } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { OperatorKind, OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, test } from "vitest";
import { indexKeys } from "../../src/catalog/index-keys.ts";
import { parseFilter } from "../../src/filter/filter.ts";

const vodafone = indexKeys(
  create(OperatorSchema, {
    id: "vodafone-de",
    kind: OperatorKind.MNO,
    adminState: AdminState.ENABLED,
    labels: { env: "prod", "cost-centre": "a.b", star: "5*" },
    connections: {
      main: { coverage: [{ kind: { case: "mccmnc", value: "26202" } }, { kind: { case: "mccmnc", value: "31026" } }] },
      backup: {
        coverage: [
          { kind: { case: "mcc", value: "208" } },
          { kind: { case: "mccmnc", value: "20801" }, deny: true },
          { kind: { case: "prefix", value: "999" } },
        ],
      },
    },
  }),
);
const hub = indexKeys(
  create(OperatorSchema, {
    id: "hub",
    kind: OperatorKind.HUB,
    adminState: AdminState.DRAFT,
    connections: {
      main: { coverage: [{ kind: { case: "any", value: true } }, { kind: { case: "mcc", value: "262" }, deny: true }] },
    },
  }),
);

describe("a filter selects what it says", () => {
  test.each([
    ["", true],
    ['id = "vodafone-de"', true],
    ["id = vodafone-de", true],
    ["id = 'vodafone-de'", true],
    ["id = Vodafone-de", false],
    ["id = vodafone*", true],
    ["id = *-de", true],
    ["id = v*f*e", true],
    ["id = v*x*e", false],
    ["id != vodafone*", false],
    ["id : fone", true],
    ["id : fine", false],
    ["id > v AND id < w", true],
    ["id >= vodafone-de id <= vodafone-de", true],
    ["kind = MNO", true],
    ["kind : MNO", true],
    ["kind != MNO", false],
    ["kind = HUB OR kind = MNO", true],
    ["admin_state = ENABLED", true],
    ["NOT admin_state = ENABLED", false],
    ["-admin_state = DRAFT", true],
    ['network = "26202"', true],
    ["network = 31026", true],
    ["network = 310260", false],
    ["network = 20802", true],
    ["network = 20801", false],
    ["network = 99901", false],
    ["network != 26202", false],
    ["network : *", true],
    ["network = 310*", true],
    ["network = 208*", false],
    ["labels.env = prod", true],
    ["labels.env != prod", false],
    ["labels.env != test", true],
    ["labels.cost-centre = a.b", true],
    ['labels."cost-centre" = "a.b"', true],
    ["labels.star = 5*", true],
    ['labels.star = "5\\*"', true],
    ['labels.env = "p\\*"', false],
    ["labels.region = eu", false],
    ["labels.region != eu", false],
    ["NOT labels.region = eu", true],
    ["labels.region : *", false],
    ["labels:env", true],
    ["labels:region", false],
    ["labels:*", true],
    ["labels.__proto__x : *", undefined],
  ])("%s → %s", (text, expected) => {
    if (expected === undefined) expect(() => parseFilter(text)).toThrow();
    else expect(parseFilter(text).matches(vodafone)).toBe(expected);
  });

  test("OR binds tighter than AND", () => {
    const filter = "id = nobody AND kind = MNO OR admin_state = ENABLED";
    expect(parseFilter(filter).matches(vodafone)).toBe(false);
    expect(parseFilter(`(id = nobody AND kind = MNO) OR admin_state = ENABLED`).matches(vodafone)).toBe(true);
  });

  test("a connection that reaches any network matches all but what it denies", () => {
    expect(parseFilter("network = 20801").matches(hub)).toBe(true);
    expect(parseFilter("network = 26202").matches(hub)).toBe(false);
    expect(parseFilter("network = 208*").matches(hub)).toBe(false);
    expect(parseFilter("network : *").matches(hub)).toBe(true);
  });

  test("an operator without labels and connections matches neither", () => {
    const bare = indexKeys(create(OperatorSchema, { id: "bare" }));
    expect(parseFilter("labels:* OR network:* OR labels.a = b").matches(bare)).toBe(false);
  });
});

describe("filters that read the same have one canonical text, and so one hash", () => {
  test.each([
    ["kind=MNO", 'kind = "MNO"'],
    ["kind : MNO", 'kind = "MNO"'],
    ["  kind   =  'MNO'  ", 'kind = "MNO"'],
    ["kind = MNO id = a*", 'id = "a*" AND kind = "MNO"'],
    ["(kind = MNO) AND ((id = b))", 'id = "b" AND kind = "MNO"'],
    ["id = b AND id = a AND id = b", 'id = "a" AND id = "b"'],
    ["id = b OR id = a", 'id = "a" OR id = "b"'],
    ["-(id = a)", 'NOT id = "a"'],
    ["NOT (NOT id = a)", 'id = "a"'],
    ["NOT (id = a OR id = b)", 'NOT (id = "a" OR id = "b")'],
    ["(id = b kind = MNO) OR id = a", 'id = "a" OR (id = "b" AND kind = "MNO")'],
    ["labels:env", 'labels.env : "*"'],
    ['labels.a = "x\\"y\\\\z"', 'labels.a = "x\\"y\\\\z"'],
  ])("%s", (text, canonical) => {
    const filter = parseFilter(text);
    expect(filter.canonical).toBe(canonical);
    expect(filter.hash).toEqual(parseFilter(canonical).hash);
    expect(filter.hash).toHaveLength(8);
  });

  test("and others have others", () => {
    const hashes = ["", "id = a", "id = b", "id != a", "NOT id = a", 'id = "a*"', 'id = "a\\*"'].map((text) =>
      Buffer.from(parseFilter(text).hash).toString("hex"),
    );
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});
