import { expect, it } from "vitest";
import { operatorOf, ready, storedOperator } from "./operators.ts";
import { bindEtagOf } from "../../src/operators/bind-etag.ts";

const etagOf = (more = {}): string =>
  bindEtagOf(operatorOf({ connections: { main: ready(more) } }).connections["main"]!);
const endpoint = (more = {}) => ({ endpoints: { a: { host: "smpp.acme.example", ...more } } });

it("a connection's bind_etag changes with what needs a re-bind, and with nothing else", () => {
  expect(etagOf()).toMatch(/^[0-9a-f]{32}$/);
  for (const change of [
    { systemId: "other" },
    { systemType: "x" },
    endpoint({ port: 3000 }),
    endpoint({ tls: { serverName: "x" } }),
  ]) {
    expect(etagOf(change)).not.toBe(etagOf());
  }
  for (const change of [
    { displayName: "x" },
    endpoint({ priority: 3 }),
    { weight: 7 },
    { throughput: { maxSegmentsPerSecond: 1 } },
  ]) {
    expect(etagOf(change)).toBe(etagOf());
  }
});

it("a stored connection has it, and it follows from its settings with the defaults", () => {
  const stored = (more = {}) => storedOperator({ connections: { main: ready(more) } }).connections["main"]?.bindEtag;
  expect(stored()).toMatch(/^[0-9a-f]{32}$/);
  expect(stored(endpoint({ port: 2775 }))).toBe(stored());
});
