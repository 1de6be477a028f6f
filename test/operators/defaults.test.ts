import { readFileSync, readdirSync } from "node:fs";
import { create, equals, toJson, type DescField, type DescMessage, type JsonObject } from "@bufbuild/protobuf";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, test } from "vitest";
import { defaults, withDefaults } from "../../src/operators/defaults.ts";
import { isOutputOnly } from "../../src/operators/field-options.ts";
import { violationsOf } from "../../src/rpc/validate.ts";
import { fullOperator } from "../full-operator.ts";
import { at, jsonOf, operatorOf } from "./operators.ts";

/** Fields that are unset for a reason: they follow another field, are inherited, or have no default. */
const unfilled = new Set([
  "Operator.max_segments_per_second",
  "Connection.max_binds",
  "Throughput.max_segments_per_second",
  "Throughput.burst",
  "CoverageEntry.priority",
  "CoverageEntry.weight",
  "Submit.validity",
  "SubmitError.retries",
  "SubmitError.delay",
  "SubmitError.counts_for_health",
  "MaintenanceWindow.duration",
]);
/** Filled in by the message around them, with another value in each place. */
const filledFromOutside = new Set(["SourceAddress.ton", "SourceAddress.npi", "SourceAddress.allowed"]);

/** Every field that people can set, once per message type. */
const settable = reachable(OperatorSchema, new Set());

function reachable(message: DescMessage, seen: Set<DescMessage>): DescField[] {
  if (seen.has(message) || message.typeName.startsWith("google.protobuf.")) return [];
  seen.add(message);
  const fields = message.fields.filter((field) => !isOutputOnly(field));
  return [...fields, ...fields.flatMap((field) => (field.message ? reachable(field.message, seen) : []))];
}

const nameOf = (field: DescField): string => `${field.parent.name}.${field.name}`;
const inTable = (field: DescField): boolean => {
  const values = defaults.get(field.parent.typeName);
  return values !== undefined && field.jsonName in (toJson(field.parent, values as never) as object);
};

describe("the table of defaults", () => {
  test("knows every optional scalar and every span, or says why not", () => {
    const optional = settable.filter(
      (field) =>
        field.oneof === undefined &&
        ((field.fieldKind === "scalar" && field.proto.proto3Optional) ||
          (field.fieldKind === "message" && field.message.typeName === "google.protobuf.Duration")),
    );
    expect(optional.length).toBeGreaterThan(40);
    const missing = optional.filter((field) => !inTable(field) && !filledFromOutside.has(nameOf(field))).map(nameOf);
    expect(missing.sort()).toEqual([...unfilled].sort());
  });

  test("knows every enum whose comment says what unspecified is stored as", () => {
    const enums = settable.filter((field) => field.fieldKind === "enum");
    const storedAs = new Map(
      [...contract.matchAll(/\/\/ Not set; stored as (\w+)\.\n\s*(\w+)_UNSPECIFIED = 0;/g)].map(([, value, prefix]) => [
        prefix,
        value,
      ]),
    );
    expect(storedAs.size).toBeGreaterThan(10);
    for (const field of enums) {
      const prefix = field.enum.values[0]!.name.replace(/_UNSPECIFIED$/, "");
      const expected = storedAs.get(prefix);
      const values = defaults.get(field.parent.typeName) as Record<string, unknown> | undefined;
      const actual = field.enum.value[Number(values?.[field.localName] ?? 0)]?.name;
      expect(actual, nameOf(field)).toBe(expected === undefined ? `${prefix}_UNSPECIFIED` : `${prefix}_${expected}`);
    }
  });

  test("holds nothing but fields that people can set", () => {
    const names = new Set(settable.map((field) => field.parent.typeName));
    expect([...defaults.keys()].filter((name) => !names.has(name))).toEqual([]);
  });
});

const contract = readdirSync("proto/ops/v1")
  .map((file) => readFileSync(`proto/ops/v1/${file}`, "utf8"))
  .join("\n");

describe("an operator with defaults", () => {
  const sparse = operatorOf({
    maintenanceWindows: [{ id: "w", start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00Z" }],
    connections: {
      main: {
        endpoints: { a: { host: "a", tls: {} } },
        throughput: {},
        tlvs: [{ tag: "0x1402", type: "TLV_TYPE_INT8", constant: "1" }],
      },
    },
  });
  const filled = jsonOf(withDefaults(sparse));
  const main = "connections.main";

  // Each default once more, from the field tables of the design.
  test.each<[string, unknown]>([
    ["kind", "OPERATOR_KIND_MNO"],
    [
      "healthPolicy",
      {
        errorRatioWarning: 0.05,
        errorRatioCritical: 0.2,
        minimumSegments: 50,
        goodStreak: 3,
        bindsMissingAfter: "120s",
        reportIntervalsUntilUnknown: 3,
        alertHold: "60s",
      },
    ],
    ["maintenanceWindows.0.keepBinds", true],
    [
      `${main}.endpoints.a`,
      {
        host: "a",
        port: 2775,
        priority: 10,
        tls: { mode: "TLS_MODE_OFF", minVersion: "TLS_VERSION_V1_2", verify: "TLS_VERIFY_FULL" },
      },
    ],
    [`${main}.endpointPolicy`, "ENDPOINT_POLICY_ORDERED"],
    [`${main}.failbackDelay`, "300s"],
    [`${main}.binds`, [{ role: "BIND_ROLE_TRX", count: 1 }]],
    [`${main}.maxBinds`, undefined],
    [`${main}.bindLimitScope`, "BIND_LIMIT_SCOPE_ACCOUNT"],
    [`${main}.vendorHoldTime`, "120s"],
    [`${main}.interfaceVersion`, "INTERFACE_VERSION_V3_4"],
    [`${main}.throughput`, { scope: "THROUGHPUT_SCOPE_ACCOUNT", window: 10 }],
    [`${main}.throttle`, { pause: "1s", floorPercent: 10, recoverPercent: 10, recoverInterval: "10s" }],
    [
      `${main}.timers`,
      {
        connect: "10s",
        bind: "10s",
        unbind: "5s",
        enquireLink: "30s",
        enquireLinkResponse: "10s",
        missed: 3,
        inactivity: "300s",
        response: "60s",
      },
    ],
    [`${main}.reconnect`, { initial: "5s", max: "300s", jitterPercent: 20 }],
    [`${main}.onResponseTimeout`, "RESPONSE_TIMEOUT_ACTION_MARK_UNKNOWN"],
    [
      `${main}.addressing`,
      {
        alphanumeric: { ton: 5, npi: 0, allowed: true },
        shortCode: { ton: 3, npi: 0, allowed: true },
        international: { ton: 1, npi: 1, allowed: true },
        destTon: 1,
        destNpi: 1,
      },
    ],
    [
      `${main}.encoding`,
      {
        dcs0: "DEFAULT_ALPHABET_GSM7",
        latin1Dcs: 3,
        unicodeDcs: 8,
        allowedDcs: [0, 3, 8],
        long: "LONG_MESSAGE_MODE_UDH8",
        maxSegments: 10,
      },
    ],
    [`${main}.submit`, { validityFormat: "VALIDITY_FORMAT_RELATIVE", registeredDelivery: 1 }],
    [`${main}.tlvs`, [{ tag: "0x1402", type: "TLV_TYPE_INT8", on: "TLV_DIRECTION_SUBMIT", constant: "1" }]],
    [
      `${main}.receipts`,
      {
        idFrom: "RECEIPT_ID_SOURCE_TLV_THEN_TEXT",
        submitId: "MESSAGE_ID_FORMAT_STRING",
        receiptId: "MESSAGE_ID_FORMAT_STRING",
        detect: "RECEIPT_DETECTION_ESM_CLASS",
        timeZone: "UTC",
        expiry: "259200s",
      },
    ],
    [`${main}.priority`, 100],
    [`${main}.weight`, 100],
    [`${main}.capabilities`, { alphanumeric: true, unicode: true, receipts: true }],
    [`${main}.healthPolicy`, undefined],
  ])("has %s", (path, expected) => {
    expect(at(filled, path)).toEqual(expected);
  });

  test("keeps what is set, also zeros and false", () => {
    const json: JsonObject = {
      connections: {
        main: {
          weight: 0,
          failbackDelay: "0s",
          capabilities: { unicode: false },
          addressing: { alphanumeric: { ton: 0 } },
          reconnect: { jitterPercent: 0, initial: "7.500s" },
          binds: [{ role: "BIND_ROLE_TX", count: 0 }],
        },
      },
    };
    const result = jsonOf(withDefaults(operatorOf(json)));
    expect(result).toMatchObject(json);
    expect(at(result, "connections.main.addressing.alphanumeric")).toEqual({ ton: 0, npi: 0, allowed: true });
  });

  test("of a complete one is the same but for what was left out, and fits the contract", () => {
    const full = withDefaults(operatorOf(fullOperator));
    expect(jsonOf(full)).toMatchObject(fullOperator);
    expect(violationsOf(OperatorSchema, full)).toEqual([]);
  });

  test("stays as it is when they are filled in again, and shares nothing with the table", () => {
    const once = withDefaults(sparse);
    expect(equals(OperatorSchema, withDefaults(once), once)).toBe(true);
    once.connections["main"]!.timers!.bind!.seconds = 99n;
    once.connections["main"]!.binds[0]!.count = 9;
    expect(jsonOf(withDefaults(sparse))).toEqual(filled);
  });

  test("of a new operator without connections is small", () => {
    expect(Object.keys(jsonOf(withDefaults(create(OperatorSchema))))).toEqual(["kind", "healthPolicy"]);
  });
});
