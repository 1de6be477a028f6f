import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { configurationWarnings, lastRouteWarnings } from "../../src/operators/warnings.ts";
import { ready, storedOperator } from "./operators.ts";

const tls = { mode: "TLS_MODE_REQUIRED" };
const quiet = { endpoints: { a: { host: "smpp.acme.example", tls } } };

/** The warnings about one connection, as path → text. */
function warningsOf(connection: JsonObject): Record<string, string> {
  const operator = storedOperator({ connections: { main: ready({ ...quiet, ...connection }) } });
  const warnings = configurationWarnings(operator, ["main"]);
  return Object.fromEntries(warnings.map(({ path, text }) => [path.replace("connections.main.", ""), text]));
}
const endpoint = (more: JsonObject): JsonObject => ({ endpoints: { a: { host: "smpp.acme.example", ...more } } });
const rate = (maxSegmentsPerSecond: number, more: JsonObject = {}): JsonObject => ({
  throughput: { maxSegmentsPerSecond, ...more },
});

describe("a configuration is warned about", () => {
  test.each<[string, JsonObject, Record<string, RegExp>]>([
    [
      "a system_id above 15 characters",
      { systemId: "x".repeat(16) },
      { system_id: /16 characters are more than the 15/ },
    ],
    ["TLS off", endpoint({}), { "endpoints.a.tls": /unencrypted/ }],
    ["TLS off on a public address", endpoint({ host: "192.0.2.7" }), { "endpoints.a.tls": /unencrypted/ }],
    [
      "an unverified certificate",
      endpoint({ tls: { ...tls, verify: "TLS_VERIFY_NONE" } }),
      { "endpoints.a.tls.verify": /anybody/ },
    ],
    [
      "a window too small for the rate",
      rate(200),
      {
        "throughput.window":
          /^10 × 1 bind allows about 100 segments per second when an answer takes 100 ms, below the limit of 200/,
      },
    ],
    [
      "a window too small for a rate per bind",
      { ...rate(200, { scope: "THROUGHPUT_SCOPE_BIND" }), binds: [{ role: "BIND_ROLE_TRX", count: 4 }] },
      { "throughput.window": /10 × 1 bind / },
    ],
    [
      "binds that no endpoint takes",
      { ...endpoint({ tls, roles: ["BIND_ROLE_RX"] }) },
      { binds: /no endpoint takes TRX/ },
    ],
    [
      "prefixes that change nothing",
      { coverage: [{ prefix: "49" }, { prefix: "4932" }, { prefix: "4933", deny: true }] },
      { coverage: /: 4932 in 49$/ },
    ],
  ])("for %s", (_, connection, expected) => {
    const warnings = warningsOf(connection);
    expect(Object.keys(warnings)).toEqual(Object.keys(expected));
    for (const [path, text] of Object.entries(expected)) expect(warnings[path]).toMatch(text);
  });

  test.each<[string, JsonObject]>([
    ["a system_id of 15 characters", { systemId: "x".repeat(15) }],
    ["TLS off towards a private address", endpoint({ host: "10.1.2.3" })],
    ["TLS off towards a private IPv6 address", endpoint({ host: "fd00::1" })],
    ["TLS off towards this host", endpoint({ host: "localhost" })],
    [
      "a pinned certificate",
      endpoint({ tls: { ...tls, verify: "TLS_VERIFY_NONE", pinSha256: [`${"A".repeat(43)}=`] } }),
    ],
    [
      "enough binds for the rate",
      {
        ...rate(200),
        binds: [
          { role: "BIND_ROLE_TX", count: 2 },
          { role: "BIND_ROLE_RX", count: 1 },
        ],
      },
    ],
    ["a receiver, which has no rate", { ...rate(200), binds: [{ role: "BIND_ROLE_RX" }] }],
    ["prefixes with another weight", { coverage: [{ prefix: "49" }, { prefix: "4932", weight: 5 }] }],
  ])("not for %s", (_, connection) => {
    expect(warningsOf(connection)).toEqual({});
  });

  test("only where it is asked about, and never for a connection that isn't there", () => {
    const operator = storedOperator({ connections: { main: ready(), other: ready() } });
    expect(configurationWarnings(operator, ["other", "none", "constructor"]).map(({ path }) => path)).toEqual([
      "connections.other.endpoints.a.tls",
    ]);
  });
});

test("networks without a route are named, ten at most", () => {
  expect(lastRouteWarnings([])).toEqual([]);
  const keys = Array.from({ length: 12 }, (_, i) => `mcc:${200 + i}`);
  expect(lastRouteWarnings(keys)[0]?.text).toMatch(/^nobody routes mcc:200, .*, mcc:209 and 2 more any more$/);
});
