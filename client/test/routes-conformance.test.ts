import { describe, expect, test } from "vitest";
import { RouteReasonSchema } from "@operator-management/contract/ops/v1/route_pb.js";
import { explainLines } from "../src/routes/explain-lines.ts";
import { pick } from "../src/routes/pick.ts";
import { RouteIndex } from "../src/routes/route-index.ts";
import { routeVectors } from "./harness/route-vectors.ts";

const vectors = routeVectors();

describe("the SDK's rules", () => {
  test.each(vectors)("$name", ({ operators, health, now, query, expected, picks }) => {
    const index = new RouteIndex();
    for (const operator of operators) index.upsert(operator);
    const result = index.resolve(query, health, now);
    expect(result).toEqual(expected);
    for (const { key, pick: wanted } of picks) {
      const route = pick(result, key);
      expect(route === undefined ? null : `${route.operatorId}/${route.connectionId}`, `key ${key}`).toBe(wanted);
    }
    expect(explainLines(result).length).toBeGreaterThan(0);
  });
});

describe("the vectors", () => {
  test("are many, and have names of their own", () => {
    expect(vectors.length).toBeGreaterThanOrEqual(80);
    expect(new Set(vectors.map(({ name }) => name)).size).toBe(vectors.length);
  });

  test("expect every reason at least once", () => {
    const expected = vectors.flatMap(({ expected: { routes, excluded } }) =>
      [...routes, ...excluded].flatMap(({ reasons }) => reasons),
    );
    const all = RouteReasonSchema.values.map(({ number }) => number).filter((number) => number !== 0);
    expect(all.filter((reason) => !expected.includes(reason))).toEqual([]);
  });
});
