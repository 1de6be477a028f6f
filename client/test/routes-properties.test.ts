import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectionHealthSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { RouteQuerySchema, RouteSchema, type Route } from "@operator-management/contract/ops/v1/route_pb.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { explainLines } from "../src/routes/explain-lines.ts";
import type { HealthView } from "../src/routes/health-view.ts";
import { pick } from "../src/routes/pick.ts";
import { RouteIndex } from "../src/routes/route-index.ts";
import { routeVectors } from "./harness/route-vectors.ts";

const now = new Date("2026-03-01T12:00:00Z");
const code = fc.constantFrom("26201", "26202", "31026", "310260", "262", "49", "4917", "491701234567", "", "x");
const state = fc.integer({ min: 0, max: 8 });
const optional = (max: number) => fc.option(fc.nat(max), { nil: undefined });
const entry = fc.record({
  kind: fc.oneof(
    fc.record({ case: fc.constantFrom("mccmnc" as const, "mcc" as const, "prefix" as const), value: code }),
    fc.record({ case: fc.constant("any" as const), value: fc.boolean() }),
  ),
  deny: fc.nat(9).map((n) => n === 0),
  priority: optional(2 ** 32 - 1),
  weight: optional(5),
});
const connection = fc.record({
  adminState: fc.oneof({ weight: 3, arbitrary: fc.constant(3) }, state),
  credential: fc.option(fc.constant({ active: { id: "c" } }), { nil: undefined, freq: 5 }),
  priority: optional(3),
  weight: optional(1_000),
  throughput: fc.option(fc.record({ maxSegmentsPerSecond: fc.double({ noNaN: true }) }), { nil: undefined }),
  coverage: fc.array(entry, { maxLength: 6 }),
});
const connections = fc.dictionary(fc.constantFrom("a", "b", "c-1"), connection);
const operators = fc.array(fc.record({ id: fc.constantFrom("o", "o-1", "p"), connections }), { maxLength: 8 });
const healths = fc.array(
  fc.record({ state, grade: fc.nat(5), transmittersBound: fc.nat(2), currentLimit: fc.double() }),
  { minLength: 1, maxLength: 9 },
);
const query = fc.record({ network: code, number: code, explain: fc.boolean(), maxRoutes: fc.nat(3) });

function operatorsOf(values: readonly { id: string; connections: object }[]): Operator[] {
  return values.map((value) =>
    create(OperatorSchema, { ...value, uid: value.id, adminState: 3 } as MessageInitShape<typeof OperatorSchema>),
  );
}

function viewOf(values: readonly object[]): HealthView {
  const messages = values.map((value) => create(ConnectionHealthSchema, value));
  return { of: (operatorId, _uid, id) => messages[(operatorId.length * 3 + id.length) % messages.length] };
}

function indexOf(all: readonly Operator[]): RouteIndex {
  const index = new RouteIndex();
  for (const operator of all) index.upsert(operator);
  return index;
}

describe("whatever the input", () => {
  test("an answer comes, complete and in a total order; the index doesn't remember how it came about", () => {
    fc.assert(
      fc.property(operators, healths, query, (values, health, asked) => {
        const all = operatorsOf(values);
        const view = viewOf(health);
        const message = create(RouteQuerySchema, asked);
        const index = indexOf(all);
        const result = index.resolve(message, view, now);
        const last = new Map(all.map((operator) => [operator.id, operator]));
        expect(indexOf([...last.values()].reverse()).resolve(message, view, now)).toEqual(result);
        expect(result.routes.map(({ rank }) => rank)).toEqual(result.routes.map((_, n) => n + 1));
        const order = (route: Route): number[] => [route.class, route.priority, route.tier];
        result.routes.slice(1).forEach((route, n) => {
          const [before, after] = [order(result.routes[n] as Route), order(route)];
          const first = before.findIndex((value, at) => value !== after[at]);
          if (first >= 0) expect(before[first]).toBeLessThan(after[first] as number);
          expect(route.effectiveWeight).toBeGreaterThanOrEqual(1);
        });
        expect(pick(result, "key")?.tier ?? 1).toBe(1);
        if (asked.explain && asked.maxRoutes === 0) {
          expect(result.routes.length + result.excluded.length).toBe(index.size);
        }
        explainLines(result);
        for (const id of last.keys()) index.remove(id);
        expect(index.size).toBe(0);
        expect(index.resolve(message, view, now).routes).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("the same query, configuration and health give the same answer a thousand times", () => {
    for (const { operators: all, health, now: at, query: asked, expected } of routeVectors().slice(0, 5)) {
      const index = indexOf(all);
      for (let n = 0; n < 1_000; n++) expect(index.resolve(asked, health, at)).toEqual(expected);
    }
  });
});

test("the pick is the highest score of the specification, by Node's own SHA-256", () => {
  const links = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 6 });
  const weights = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(links, weights, fc.string({ maxLength: 80 }), (ids, effectiveWeights, key) => {
      const routes = ids.map((connectionId, n) =>
        create(RouteSchema, {
          operatorId: "acme",
          connectionId,
          tier: 1,
          effectiveWeight: effectiveWeights[n] ?? 1,
        }),
      );
      const score = ({ operatorId, connectionId, effectiveWeight }: Route): number => {
        const digest = createHash("sha256").update(`${key}\0${operatorId}/${connectionId}`, "utf8").digest("hex");
        const n = Number.parseInt(digest.slice(0, 13), 16); // 52 bits
        return -effectiveWeight / Math.log((n + 0.5) / 2 ** 52);
      };
      const picked = pick({ routes }, key);
      expect(picked && score(picked)).toBe(Math.max(...routes.map(score)));
    }),
  );
});
