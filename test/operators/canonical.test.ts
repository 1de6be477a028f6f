import { create, equals, fromBinary, protoInt64, toBinary } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { MessageState } from "@operator-management/contract/ops/v1/receipts_pb.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalBytes, etagOf, specBytes } from "../../src/operators/canonical.ts";

const key = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/),
  fc.constantFrom("__proto__", "constructor", "toString", "10", "9", "1", "é", "z"),
);
const labels = fc.uniqueArray(fc.tuple(key, fc.string()), { selector: ([name]) => name, maxLength: 12 });

function operatorOf(entries: readonly (readonly [string, string])[]): Operator {
  // Object.fromEntries defines properties, so that "__proto__" is a key like any other.
  const map = <T>(value: (text: string) => T): Record<string, T> =>
    Object.fromEntries(entries.map(([name, text]) => [name, value(text)]));
  return create(OperatorSchema, {
    id: "acme",
    labels: map((text) => text),
    connections: map((text) => create(ConnectionSchema, { notes: text, labels: map((inner) => inner) })),
  });
}

describe("canonical bytes", () => {
  test("do not depend on the order in which map entries were added, at any depth", () => {
    fc.assert(
      fc.property(
        labels.chain((entries) =>
          fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })),
        ),
        ([entries, shuffled]) => {
          expect(canonicalBytes(operatorOf(shuffled))).toEqual(canonicalBytes(operatorOf(entries)));
        },
      ),
    );
  });

  test("decode to the same operator and encode to the same bytes again", () => {
    fc.assert(
      fc.property(labels, (entries) => {
        const operator = operatorOf(entries);
        const decoded = fromBinary(OperatorSchema, canonicalBytes(operator));
        expect(equals(OperatorSchema, decoded, operator)).toBe(true);
        expect(canonicalBytes(decoded)).toEqual(canonicalBytes(operator));
      }),
    );
  });

  test("sort keys by code unit, not by locale", () => {
    const operator = create(OperatorSchema, { labels: { b: "", Z: "", a: "", é: "", "a-b": "", a0: "" } });
    expect(Object.keys(fromBinary(OperatorSchema, canonicalBytes(operator)).labels)).toEqual([
      "Z",
      "a",
      "a-b",
      "a0",
      "b",
      "é",
    ]);
  });

  test("keep fields of a newer version, also inside nested messages, lists and map entries", () => {
    const newer = { no: 9000, wireType: 2, data: new Uint8Array([3, 1, 2, 3]) };
    const operator = create(OperatorSchema, {
      connections: { main: { timers: {}, coverage: [{ kind: { case: "any", value: true } }] } },
    });
    const main = operator.connections["main"]!;
    for (const message of [operator, main, main.timers!, main.coverage[0]!]) message.$unknown = [newer];
    const decoded = fromBinary(OperatorSchema, canonicalBytes(operator));
    const again = decoded.connections["main"]!;
    for (const message of [decoded, again, again.timers!, again.coverage[0]!]) {
      expect(message.$unknown).toMatchObject([{ no: 9000 }]);
    }
    expect(canonicalBytes(decoded)).toEqual(toBinary(OperatorSchema, decoded));
  });

  test("do not change the operator they are made from", () => {
    const operator = create(OperatorSchema, { labels: { b: "1", a: "2" } });
    canonicalBytes(operator);
    specBytes(operator);
    expect(Object.keys(operator.labels)).toEqual(["b", "a"]);
  });
});

describe("the etag", () => {
  const operator = create(OperatorSchema, {
    id: "acme",
    connections: { main: { systemId: "acme", receipts: { statusMap: { DELIVRD: MessageState.DELIVERED } } } },
  });

  test("is 16 bytes in hex", () => {
    expect(etagOf(operator)).toMatch(/^[0-9a-f]{32}$/);
  });

  test.each<[string, (operator: Operator) => void]>([
    ["uid", (o) => (o.uid = "u")],
    ["admin state", (o) => (o.adminState = AdminState.ENABLED)],
    ["etag", (o) => (o.etag = "x")],
    [
      "update time",
      (o) => (o.updateTime = { $typeName: "google.protobuf.Timestamp", seconds: protoInt64.zero, nanos: 1 }),
    ],
    ["a connection's state", (o) => (o.connections["main"]!.adminState = AdminState.ENABLED)],
    ["a connection's effective state", (o) => (o.connections["main"]!.effectiveState = AdminState.DRAFT)],
    [
      "a connection's credential",
      (o) =>
        (o.connections["main"]!.credential = create(ConnectionSchema, {
          credential: { active: { id: "c" } },
        }).credential!),
    ],
  ])("ignores %s, which the service sets", (_, change) => {
    const changed = fromBinary(OperatorSchema, canonicalBytes(operator));
    change(changed);
    expect(canonicalBytes(changed)).not.toEqual(canonicalBytes(operator));
    expect(etagOf(changed)).toBe(etagOf(operator));
  });

  test.each<[string, (operator: Operator) => void]>([
    ["a label", (o) => (o.labels["a"] = "")],
    ["a connection's system_id", (o) => (o.connections["main"]!.systemId = "other")],
    ["a nested map", (o) => (o.connections["main"]!.receipts!.statusMap["DELIVRD"] = MessageState.ACCEPTED)],
    ["a field of a newer version", (o) => (o.$unknown = [{ no: 9000, wireType: 0, data: new Uint8Array([1]) }])],
  ])("changes with %s", (_, change) => {
    const changed = fromBinary(OperatorSchema, canonicalBytes(operator));
    change(changed);
    expect(etagOf(changed)).not.toBe(etagOf(operator));
  });
});
