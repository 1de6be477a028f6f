// Longer than 250 lines because every case of merging is a row of one table.
import { create, equals, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, test } from "vitest";
import { canonicalBytes } from "../../src/operators/canonical.ts";
import { mergeByMask } from "../../src/operators/update-mask.ts";
import { at, boundOperator, failureOf, jsonOf, maskOf, operatorOf, ready, storedOperator } from "./operators.ts";

const current = storedOperator({
  displayName: "Acme",
  countries: ["DE", "AT"],
  labels: { env: "prod", "a-b": "1", constructor: "c" },
  notes: "Old",
  maxSegmentsPerSecond: 500,
  connections: {
    main: ready({
      throughput: { maxSegmentsPerSecond: 50, window: 20 },
      labels: { tier: "gold" },
      timers: { enquireLink: "60.500s" },
      receipts: { statusMap: { DELIVRD: "MESSAGE_STATE_DELIVERED", "A.B": "MESSAGE_STATE_REJECTED" } },
      coverage: [{ mccmnc: "26201" }, { mcc: "262", weight: 5 }],
    }),
    "acme-2": ready({ displayName: "Second" }),
    constructor: ready({ displayName: "Third" }),
  },
});
const main = "connections.main";

// What is given, the mask as JSON writes it, and what is then where (undefined: nothing).
type Row = [name: string, given: JsonObject, mask: string, expected: Record<string, JsonValue | undefined>];
const merged: Row[] = [
  // Plain fields.
  ["a field is set", { displayName: "New", notes: "New" }, "displayName", { displayName: "New", notes: "Old" }],
  ["a field that isn't given is cleared", {}, "displayName", { displayName: undefined, notes: "Old" }],
  ["a field with presence is cleared", {}, "maxSegmentsPerSecond", { maxSegmentsPerSecond: undefined }],
  ["an enum is set", { kind: "OPERATOR_KIND_HUB" }, "kind", { kind: "OPERATOR_KIND_HUB" }],
  ["several paths", { displayName: "New" }, "displayName,notes", { displayName: "New", notes: undefined }],
  ["the same path twice", { notes: "New" }, "notes,notes", { notes: "New" }],
  ["a list is replaced as a whole", { countries: ["FR"] }, "countries", { countries: ["FR"] }],
  ["a list is cleared", {}, "countries", { countries: undefined }],
  ["the same id may be named", { id: "acme" }, "id", { id: "acme" }],
  // Maps of texts.
  [
    "an entry is set, the others stay",
    { labels: { env: "dev" } },
    "labels.env",
    { "labels.env": "dev", "labels.a-b": "1" },
  ],
  ["an entry is added", { labels: { x9: "new" } }, "labels.x9", { "labels.x9": "new", "labels.env": "prod" }],
  ["an entry is removed", {}, "labels.env", { "labels.env": undefined, "labels.a-b": "1" }],
  ["a key with a hyphen", { labels: { "a-b": "2" } }, "labels.a-b", { "labels.a-b": "2" }],
  ["a key between backticks", { labels: { "a-b": "2" } }, "labels.`a-b`", { "labels.a-b": "2" }],
  ["a key that objects inherit is set", { labels: { valueof: "x" } }, "labels.valueof", { "labels.valueof": "x" }],
  ["a key that objects inherit is removed", {}, "labels.constructor", { labels: { env: "prod", "a-b": "1" } }],
  ["a missing entry is removed: nothing happens", {}, "labels.none", { "labels.env": "prod" }],
  ["a map is replaced as a whole", { labels: { only: "1" } }, "labels", { labels: { only: "1" } }],
  ["a map is cleared", {}, "labels", { labels: undefined }],
  // Maps of messages.
  [
    "a field inside an entry",
    { connections: { main: { throughput: { window: 5 } } } },
    `${main}.throughput.window`,
    { [`${main}.throughput`]: { maxSegmentsPerSecond: 50, scope: "THROUGHPUT_SCOPE_ACCOUNT", window: 5 } },
  ],
  [
    "a message inside an entry is replaced",
    { connections: { main: { throughput: { window: 5 } } } },
    `${main}.throughput`,
    { [`${main}.throughput`]: { window: 5 } },
  ],
  ["a message inside an entry is cleared", {}, `${main}.throughput`, { [`${main}.throughput`]: undefined }],
  [
    "a span is replaced whole",
    { connections: { main: { timers: { enquireLink: "30s" } } } },
    `${main}.timers.enquireLink`,
    {
      [`${main}.timers.enquireLink`]: "30s",
      [`${main}.timers.missed`]: 3,
    },
  ],
  [
    "two levels of maps",
    { connections: { main: { endpoints: { a: { host: "b.example" } } } } },
    `${main}.endpoints.a.host`,
    {
      [`${main}.endpoints.a`]: { host: "b.example", port: 2775, priority: 10 },
    },
  ],
  [
    "an inner entry is added",
    { connections: { main: { endpoints: { b: { host: "b.example" } } } } },
    `${main}.endpoints.b`,
    {
      [`${main}.endpoints.b`]: { host: "b.example" },
      [`${main}.endpoints.a.host`]: "smpp.acme.example",
    },
  ],
  [
    "an inner entry is added by its field",
    { connections: { main: { endpoints: { b: { host: "b.example" } } } } },
    `${main}.endpoints.b.host`,
    {
      [`${main}.endpoints.b`]: { host: "b.example" },
    },
  ],
  ["an inner entry is removed", {}, `${main}.endpoints.a`, { [`${main}.endpoints`]: undefined }],
  [
    "an entry's id with hyphen and digit",
    { connections: { "acme-2": { notes: "x" } } },
    "connections.acme-2.notes",
    {
      "connections.acme-2.notes": "x",
      "connections.acme-2.displayName": "Second",
    },
  ],
  [
    "an entry's id that objects inherit",
    { connections: { constructor: { notes: "x" } } },
    "connections.constructor.notes",
    {
      "connections.constructor.notes": "x",
      "connections.constructor.displayName": "Third",
    },
  ],
  [
    "an entry is removed",
    {},
    "connections.acme-2",
    { "connections.acme-2": undefined, "connections.main.notes": undefined },
  ],
  [
    "an entry is added",
    { connections: { new: { notes: "x" } } },
    "connections.new",
    { "connections.new": { notes: "x" } },
  ],
  [
    "an entry is added by one of its fields",
    { connections: { new: { notes: "x", systemId: "y" } } },
    "connections.new.notes",
    {
      "connections.new": { notes: "x" },
    },
  ],
  [
    "an entry is replaced",
    { connections: { main: { notes: "x" } } },
    main,
    {
      [`${main}.notes`]: "x",
      [`${main}.timers`]: undefined,
      [`${main}.adminState`]: "ADMIN_STATE_DRAFT",
    },
  ],
  [
    "the whole map is replaced",
    { connections: { main: {} } },
    "connections",
    {
      "connections.acme-2": undefined,
      [`${main}.timers`]: undefined,
      [`${main}.adminState`]: "ADMIN_STATE_DRAFT",
    },
  ],
  [
    "a list inside an entry",
    { connections: { main: { coverage: [{ any: true }] } } },
    `${main}.coverage`,
    {
      [`${main}.coverage`]: [{ any: true }],
    },
  ],
  [
    "a path inside another one adds nothing",
    { connections: { main: { notes: "x" } } },
    `${main}.timers,${main}`,
    {
      [`${main}.notes`]: "x",
      [`${main}.timers`]: undefined,
    },
  ],
  [
    "to clear something inside what isn't there",
    {},
    `${main}.healthPolicy.goodStreak`,
    { [`${main}.healthPolicy`]: undefined },
  ],
  [
    "to set something inside what isn't there",
    { connections: { main: { healthPolicy: { goodStreak: 9 } } } },
    `${main}.healthPolicy.goodStreak`,
    {
      [`${main}.healthPolicy`]: { goodStreak: 9 },
    },
  ],
  [
    "names with digits",
    { connections: { main: { encoding: { latin1Dcs: 1, dcs0: "DEFAULT_ALPHABET_ASCII" } } } },
    `${main}.encoding.latin1Dcs,${main}.encoding.dcs0`,
    {
      [`${main}.encoding.latin1Dcs`]: 1,
      [`${main}.encoding.dcs0`]: "DEFAULT_ALPHABET_ASCII",
      [`${main}.encoding.unicodeDcs`]: 8,
    },
  ],
  // JSON turns the capitals of a key into `_d_e…`.
  [
    "a key in capitals",
    { connections: { main: { receipts: { statusMap: { DELIVRD: "MESSAGE_STATE_ACCEPTED" } } } } },
    `${main}.receipts.statusMap.DELIVRD`,
    {
      [`${main}.receipts.statusMap.DELIVRD`]: "MESSAGE_STATE_ACCEPTED",
    },
  ],
  [
    "a key in capitals is removed",
    {},
    `${main}.receipts.statusMap.DELIVRD`,
    { [`${main}.receipts.statusMap.DELIVRD`]: undefined },
  ],
  // The whole configuration.
  [
    "* replaces everything, and keeps what only the service sets",
    { notes: "Only" },
    "*",
    {
      id: "acme",
      uid: "uid-of-acme",
      notes: "Only",
      displayName: undefined,
      labels: undefined,
      connections: undefined,
      adminState: "ADMIN_STATE_DRAFT",
    },
  ],
  [
    "* ignores output-only fields",
    { uid: "forged", adminState: "ADMIN_STATE_ENABLED", etag: "x" },
    "*",
    {
      uid: "uid-of-acme",
      adminState: "ADMIN_STATE_DRAFT",
    },
  ],
  // No mask: what is set.
  [
    "no mask takes what is set",
    { displayName: "New" },
    "",
    { displayName: "New", notes: "Old", countries: ["DE", "AT"] },
  ],
  [
    "no mask merges map entries",
    { labels: { env: "dev", x: "1" } },
    "",
    { "labels.env": "dev", "labels.x": "1", "labels.a-b": "1" },
  ],
  [
    "no mask merges messages",
    { connections: { main: { throughput: { window: 5 } } } },
    "",
    {
      [`${main}.throughput.window`]: 5,
      [`${main}.throughput.maxSegmentsPerSecond`]: 50,
      "connections.acme-2.displayName": "Second",
    },
  ],
  [
    "no mask replaces lists",
    { connections: { main: { coverage: [{ any: true }] } } },
    "",
    { [`${main}.coverage`]: [{ any: true }] },
  ],
  [
    "no mask replaces spans whole",
    { connections: { main: { timers: { enquireLink: "7s" } } } },
    "",
    { [`${main}.timers.enquireLink`]: "7s" },
  ],
  [
    "no mask ignores output-only fields",
    { uid: "forged", connections: { main: { adminState: "ADMIN_STATE_ENABLED" } } },
    "",
    {
      uid: "uid-of-acme",
      [`${main}.adminState`]: "ADMIN_STATE_DRAFT",
    },
  ],
  ["nothing given and no mask change nothing", {}, "", { displayName: "Acme" }],
];

describe("an update takes what its mask names", () => {
  test.each(merged)("%s", (_, given, mask, expected) => {
    const before = canonicalBytes(current);
    const result = jsonOf(mergeByMask(current, operatorOf(given), maskOf(mask)));
    for (const [path, value] of Object.entries(expected)) expect(at(result, path), path).toEqual(value);
    expect(canonicalBytes(current), "the stored operator is untouched").toEqual(before);
  });

  test("a key with a dot is written between backticks", () => {
    const path = `${main}.receipts.status_map.\`A.B\``;
    const result = mergeByMask(current, create(OperatorSchema), [path]);
    expect(Object.keys(result.connections["main"]?.receipts?.statusMap ?? {})).toEqual(["DELIVRD"]);
  });

  test("__proto__ is a key like any other", () => {
    const given = create(OperatorSchema, { labels: Object.fromEntries([["__proto__", "x"]]) });
    const { labels } = mergeByMask(current, given, ["labels.__proto__"]);
    expect(Object.keys(labels)).toContain("__proto__");
    expect(Object.keys(mergeByMask(current, create(OperatorSchema), ["labels.__proto__"]).labels)).not.toContain(
      "__proto__",
    );
  });

  test("with the operator itself and * it changes nothing", () => {
    expect(equals(OperatorSchema, mergeByMask(current, current, ["*"]), current)).toBe(true);
    expect(equals(OperatorSchema, mergeByMask(current, current, []), current)).toBe(true);
  });
});

const wrong: [mask: string[], text: RegExp][] = [
  [["nonsense"], /"nonsense" names no field of Operator/],
  [["displayName"], /here it is written display_name/],
  [["__proto__"], /names no field/],
  [["constructor"], /names no field/],
  [["connections.main.toString"], /names no field of Connection/],
  [["connections.main.coverage.mccmnc"], /which is a list: name the list itself/],
  [["connections.main.coverage[0]"], /name the list, it is replaced as a whole/],
  [["countries.0"], /which is a list/],
  [["labels.env.x"], /goes into "env", which is a single value/],
  [["display_name.x"], /goes into "display_name", which is a single value/],
  [["connections.main.timers.bind.seconds"], /which is a single value/],
  [["connections.*.notes"], /only stands alone/],
  [["connections.main.*"], /only stands alone/],
  [["*", "notes"], /give it alone/],
  [[""], /is not a path/],
  [["."], /is not a path/],
  [["notes."], /is not a path/],
  [[".notes"], /is not a path/],
  [["labels..env"], /is not a path/],
  [["labels.`env"], /is not a path/],
  [["notes,kind"], /is not a path/],
  [[" notes"], /is not a path/],
  [["connections.typo.notes"], /leads into connections.typo, which is neither stored nor given/],
  [["connections.__proto__.notes"], /neither stored nor given/],
  [["connections.valueOf.notes"], /neither stored nor given/],
  [Array.from({ length: 1_001 }, (_, i) => `labels.l${i}`), /1001 paths are above the limit of 1000/],
];

describe("a mask is refused", () => {
  test.each(wrong)("%j", (mask, text) => {
    const failure = failureOf(() => mergeByMask(current, create(OperatorSchema), mask));
    expect(failure).toMatchObject({
      reason: ErrorReason.FIELD_INVALID,
      violations: { update_mask: expect.stringMatching(text) as string },
    });
  });

  test("with every wrong path named", () => {
    const failure = failureOf(() => mergeByMask(current, create(OperatorSchema), ["a", "b", "notes"]));
    expect(failure.text).toMatch(/and 1 more/);
  });

  test.each([
    ["uid"],
    ["etag"],
    ["admin_state"],
    ["connections.main.admin_state"],
    ["connections.main.credential.active.id"],
    ["update_time"],
  ])("when it names %s, which only the service sets", (path) => {
    const failure = failureOf(() => mergeByMask(current, create(OperatorSchema), [path]));
    expect(failure).toMatchObject({
      reason: ErrorReason.FIELD_IMMUTABLE,
      violations: { [path]: expect.anything() as string },
    });
  });
});

describe("the id", () => {
  test.each([[["id"]], [["*"]], [[]]])("can't be changed by mask %j", (mask) => {
    const failure = failureOf(() => mergeByMask(current, operatorOf({ id: "other" }), mask));
    expect(failure).toMatchObject({ reason: ErrorReason.FIELD_IMMUTABLE, metadata: { field: "id" } });
  });

  test("can't be cleared by name, and stays when it is left out", () => {
    expect(failureOf(() => mergeByMask(current, create(OperatorSchema), ["id"])).reason).toBe(
      ErrorReason.FIELD_IMMUTABLE,
    );
    expect(mergeByMask(current, create(OperatorSchema), ["*"]).id).toBe("acme");
  });
});

describe("a connection's system_id", () => {
  const path = "connections.main.system_id";
  const withCredential = boundOperator({ connections: { main: ready() } }, AdminState.DISABLED);
  const other = operatorOf({ connections: { main: ready({ systemId: "other" }) } });

  test.each([[[path]], [["connections.main"]], [["*"]], [[]]])(
    "is changed by mask %j while no credential is stored",
    (mask) => {
      expect(
        mergeByMask(storedOperator({ connections: { main: ready() } }), other, mask).connections["main"]?.systemId,
      ).toBe("other");
    },
  );

  test.each([[[path]], [["connections.main"]], [["connections"]], [["*"]], [[]]])(
    "can't be changed by mask %j with a credential",
    (mask) => {
      const failure = failureOf(() => mergeByMask(withCredential, other, mask));
      expect(failure).toMatchObject({ reason: ErrorReason.FIELD_IMMUTABLE, metadata: { field: path } });
      expect(failure.text).toMatch(/SetConnectionCredential/);
    },
  );

  test("stays when a replaced connection leaves it out, but can't be cleared by name", () => {
    const given = operatorOf({ connections: { main: { notes: "x" } } });
    expect(mergeByMask(withCredential, given, ["connections.main"]).connections["main"]?.systemId).toBe("acme");
    expect(failureOf(() => mergeByMask(withCredential, given, [path])).reason).toBe(ErrorReason.FIELD_IMMUTABLE);
  });

  test("may be given again as it is", () => {
    expect(mergeByMask(withCredential, withCredential, [path]).connections["main"]?.systemId).toBe("acme");
  });
});
