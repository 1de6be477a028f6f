import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { OverrideSchema } from "@operator-management/contract/ops/v1/override_pb.js";
import { describe, expect, it } from "vitest";
import { fullOperator } from "./full-operator.ts";

const validator = createValidator();

describe("the contract's rules for an operator", () => {
  it("accept a complete one", () => {
    expect(violations(fullOperator)).toEqual([]);
  });

  it("accept one with nothing but an id, and none at all: defaults come later", () => {
    expect(violations({ id: "acme" })).toEqual([]);
    expect(violations({})).toEqual([]);
  });

  it("let output-only parts pass, which are ignored on input", () => {
    const noise = { adminStateActor: { principal: "x".repeat(1000) }, etag: "not an etag", uid: "?", managedSet: "?" };
    expect(violations({ ...fullOperator, ...noise, connections: { main: { overrides: [{}] } } })).toEqual([]);
  });

  it("accept 2,000 coverage entries and refuse 2,001", () => {
    expect(violations({ connections: { main: { coverage: prefixes(2000) } } })).toEqual([]);
    expect(violations({ connections: { main: { coverage: prefixes(2001) } } })).toEqual([
      'connections["main"].coverage',
    ]);
  });
});

const control = "line\u0000";
const window = { id: "w", start: "2026-01-02T00:00:00Z" };
const daily = { rrule: "FREQ=DAILY", duration: "60s", timeZone: "UTC" };

// Where in the complete operator (in JSON), the bad value there, and the path that is blamed when it isn't that place.
const refused: [at: string, value: JsonValue, path?: string][] = [
  ["id", "Acme"],
  ["id", "a"],
  ["id", `a${"b".repeat(48)}`],
  ["displayName", "x".repeat(121)],
  ["displayName", control],
  ["displayName", "two\nlines"],
  ["kind", 9],
  ["countries", ["de"], "countries[0]"],
  ["countries", ["DE", "DE"]],
  ["labels.Upper", "x", 'labels["Upper"]'],
  ["labels.ok", control, 'labels["ok"]'],
  ["notes", "\u0007"],
  ["notes", "x".repeat(4001)],
  ["contacts", Array.from({ length: 11 }, () => ({ role: "CONTACT_ROLE_NOC", phone: "1" }))],
  ["contacts.0", { role: "CONTACT_ROLE_NOC", name: "Nobody to call" }],
  ["contacts.0.role", "CONTACT_ROLE_UNSPECIFIED"],
  ["contacts.0.email", "not an address"],
  ["contacts.0.url", "javascript:alert(1)"],
  ["maxSegmentsPerSecond", 0],
  ["maxSegmentsPerSecond", "NaN"],
  ["maxSegmentsPerSecond", "Infinity"],
  ["healthPolicy.errorRatioCritical", 0.01, "health_policy"],
  ["healthPolicy.goodStreak", 0],
  ["maintenanceWindows.0", { ...window }],
  ["maintenanceWindows.0", { ...window, end: window.start }],
  ["maintenanceWindows.0", { ...window, ...daily, end: "2026-02-01T00:00:00Z" }],
  ["maintenanceWindows.0", { ...window, ...daily, timeZone: "" }],
  ["maintenanceWindows.0", { id: "w", end: "2026-02-01T00:00:00Z" }, "maintenance_windows[0].start"],
  ["maintenanceWindows.0.id", "weekly", "maintenance_windows"],
  ["maintenanceWindows.1.rrule", "FREQ=SECONDLY"],
  ["maintenanceWindows.1.timeZone", "Berlin time"],
  ["connections.Main", {}, 'connections["Main"]'],
  ["connections.main.systemId", "x".repeat(65)],
  ["connections.main.systemId", "a b"],
  ["connections.main.endpoints.a.host", ""],
  ["connections.main.endpoints.a.host", "two words"],
  ["connections.main.endpoints.a.host", `${"a".repeat(63)}.`.repeat(4)],
  ["connections.main.endpoints.a.port", 0],
  ["connections.main.endpoints.a.port", 65536],
  ["connections.main.endpoints.a.roles", ["BIND_ROLE_TX", "BIND_ROLE_TX"]],
  ["connections.main.endpoints.a.tls.caPem", "-----BEGIN PRIVATE KEY-----"],
  ["connections.main.endpoints.a.tls.pinSha256", ["short"], 'connections["main"].endpoints["a"].tls.pin_sha256[0]'],
  ["connections.main.failbackDelay", "-1s"],
  ["connections.main.binds", [{ role: "BIND_ROLE_TX" }, { role: "BIND_ROLE_TX" }]],
  ["connections.main.binds", [{ count: 1 }], 'connections["main"].binds[0].role'],
  ["connections.bulk.binds", [{ role: "BIND_ROLE_TX", count: 65 }], 'connections["bulk"].binds[0].count'],
  ["connections.main.maxBinds", 2, 'connections["main"]'],
  ["connections.main.vendorHoldTime", "3601s"],
  ["connections.main.receivesFor", ["Bulk"], 'connections["main"].receives_for[0]'],
  ["connections.main.systemType", "x".repeat(13)],
  ["connections.main.systemType", "ümlaut"],
  ["connections.main.interfaceVersion", 49],
  ["connections.main.bindTon", 256],
  ["connections.main.addressRange", "x".repeat(41)],
  ["connections.main.nodeSelector.egress", "", 'connections["main"].node_selector["egress"]'],
  ["connections.main.localAddress", "localhost"],
  ["connections.main.throughput.maxSegmentsPerSecond", 10_001],
  ["connections.main.throughput.window", 0],
  ["connections.main.throughput.window", 1001],
  ["connections.main.throttle.floorPercent", 101],
  ["connections.main.timers.enquireLink", "4s"],
  ["connections.main.reconnect.initial", "61s", 'connections["main"].reconnect'],
  ["connections.main.addressing.alphanumeric.ton", 256],
  ["connections.main.addressing.destPrefix", "+49"],
  ["connections.main.encoding.allowedDcs", [0, 0]],
  ["connections.main.encoding.maxSegments", 256],
  ["connections.main.submit.serviceType", "SIXSIX"],
  ["connections.main.submit.priorityFlag", 4],
  ["connections.main.tlvs.0.tag", "1402"],
  ["connections.main.tlvs.1.constant", "65536", 'connections["main"].tlvs[1]'],
  ["connections.main.tlvs.1.constant", "many", 'connections["main"].tlvs[1]'],
  ["connections.main.tlvs.2", { tag: "0x1403", type: "TLV_TYPE_INT8", on: "TLV_DIRECTION_RECEIPT", constant: "1" }],
  ["connections.main.tlvs.0", { tag: "0x1402", type: "TLV_TYPE_CSTRING" }, 'connections["main"].tlvs[0].value'],
  ["connections.main.tlvs.0.tag", "0x1403", 'connections["main"].tlvs'],
  ["connections.main.receipts.timeZone", ""],
  ["connections.main.receipts.statusMap.X", 0, 'connections["main"].receipts.status_map["X"]'],
  ["connections.main.submitErrors.0.status", "RTHROTTLED"],
  ["connections.main.submitErrors.0.status", "ESME_ROK"],
  ["connections.main.submitErrors.0.status", "0x0400", 'connections["main"].submit_errors'],
  ["connections.main.submitErrors.0.errorClass", 0],
  ["connections.main.bindErrors.0.status", "0x0000"],
  ["connections.main.coverage.0", {}, 'connections["main"].coverage[0].kind'],
  ["connections.main.coverage.0.mccmnc", "2621"],
  ["connections.main.coverage.0.mccmnc", "2620001"],
  ["connections.main.coverage.2.mcc", "26"],
  ["connections.main.coverage.3.prefix", "+4932"],
  ["connections.main.coverage.3.prefix", "1234567890123456"],
  ["connections.main.coverage.4.any", false],
  ["connections.main.coverage.0.weight", 1001],
  ["connections.main.priority", 0],
];

describe("the contract's rules refuse", () => {
  it.each(refused.map((row) => [title(row), ...row] as const))("%s", (_, at, value, path) => {
    expect(violations(withValue(fullOperator, at.split("."), value))).toEqual([path ?? protoPath(at)]);
  });

  it.each(["__proto__", "constructor"])("%s as an object's key, unless it is a plain word", (key) => {
    const parsed = fromJson(OperatorSchema, JSON.parse(`{"labels": {"${key}": "x"}}`) as JsonValue);
    expect(pathsOf(validator.validate(OperatorSchema, parsed))).toEqual(
      key === "__proto__" ? ['labels["__proto__"]'] : [],
    );
  });
});

describe("the contract's rules for an override", () => {
  const valid = { weight: 10, expireTime: "2026-01-08T00:00:00Z", createTime: "2026-01-01T00:00:00Z", reason: "night" };

  it.each<[string, JsonObject, string[]]>([
    ["accept seven days", {}, []],
    ["refuse more than seven days", { expireTime: "2026-01-08T00:00:01Z" }, [""]],
    ["refuse one that is over at once", { expireTime: valid.createTime }, [""]],
    ["refuse a priority of 0", { weight: null, priority: 0 }, ["priority"]],
    ["refuse one without a value", { weight: null }, ["value"]],
    ["refuse one without an end", { expireTime: null }, ["expire_time"]],
    ["refuse a reason with a NUL", { reason: control }, ["reason"]],
  ])("%s", (_, change, paths) => {
    const override = fromJson(OverrideSchema, { ...valid, ...change });
    expect(pathsOf(validator.validate(OverrideSchema, override))).toEqual(paths);
  });
});

function violations(operator: JsonValue): string[] {
  return pathsOf(validator.validate(OperatorSchema, fromJson(OperatorSchema, operator)));
}

function pathsOf(result: ReturnType<typeof validator.validate>): string[] {
  // A rule that fails to evaluate is a defect of the contract.
  if (result.kind === "error") throw result.error;
  return (result.violations ?? []).map((violation) => pathToString(violation.field));
}

function title([at, value]: [string, JsonValue, string?]): string {
  const text = JSON.stringify(value);
  return `${at}: ${text.length > 80 ? `${text.slice(0, 79)}…` : text}`;
}

/** A copy of `json` with `value` at the place that `keys` name. */
function withValue(json: JsonValue, keys: string[], value: JsonValue): JsonValue {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (Array.isArray(json)) return json.map((item, i) => (String(i) === key ? withValue(item, rest, value) : item));
  const object = (json ?? {}) as JsonObject;
  return { ...object, [key]: withValue(object[key] ?? {}, rest, value) };
}

/** `connections.main.tlvs.0.tag` as violations write it: `connections["main"].tlvs[0].tag`. */
function protoPath(at: string): string {
  return at
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/\.(\d+)/g, "[$1]")
    .replace(/\b(connections|endpoints)\.(\w+)/g, '$1["$2"]');
}

function prefixes(count: number): JsonValue {
  return Array.from({ length: count }, (_, i) => ({ prefix: String(100_000 + i) }));
}
