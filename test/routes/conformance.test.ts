import { toJsonString } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { encodeToken, pick } from "@operator-management/client";
import { ResolveRoutesResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { routeVectors } from "../../client/test/harness/route-vectors.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { loadedCatalog } from "./loaded-catalog.ts";
import { startRoutesServer, type RoutesServer } from "./routes-server.ts";

const catalog = new Catalog();
let server: RoutesServer;
let revision = 0n;
catalog.follow({ refresh: () => Promise.resolve() }); // it is always as new as can be

beforeAll(async () => {
  server = await startRoutesServer(catalog);
});
afterAll(() => server[Symbol.asyncDispose]());

test.each(routeVectors())("$name", async ({ operators, health, now, query, expected, picks }) => {
  catalog.replace(loadedCatalog(operators, ++revision));
  Object.assign(server.surroundings, { health, now });
  const reply = await server.mesh.resolveRoutes({ queries: [query, query] });
  expect(reply.results).toEqual([expected, expected]);
  expect(reply.token).toBe(encodeToken(catalog.position));
  expect(reply.healthTime && timestampDate(reply.healthTime)).toEqual(now);
  for (const { key, pick: wanted } of picks) {
    const route = pick(expected, key);
    expect(route === undefined ? null : `${route.operatorId}/${route.connectionId}`).toBe(wanted);
  }
  const explained = await server.admin.explainRoutes({ query });
  expect(explained.result?.routes).toEqual(expected.routes);
  if (query.explain) expect(explained.result).toEqual(expected);
  expect(explained.lines.length).toBeGreaterThanOrEqual(expected.routes.length);
});

test("the same query, token and health give the same answer a thousand times", async () => {
  const vectors = routeVectors();
  const most = Math.max(...vectors.map(({ expected }) => expected.routes.length));
  const vector = vectors.find(({ expected }) => expected.routes.length === most);
  if (vector === undefined) throw new Error("no vectors");
  const { operators, health, now, query } = vector;
  catalog.replace(loadedCatalog(operators, ++revision));
  Object.assign(server.surroundings, { health, now });
  const answers = new Set<string>();
  for (let batch = 0; batch < 20; batch++) {
    const calls = Array.from({ length: 50 }, () => server.mesh.resolveRoutes({ queries: [query] }));
    for (const reply of await Promise.all(calls)) answers.add(toJsonString(ResolveRoutesResponseSchema, reply));
  }
  expect(most).toBeGreaterThan(3);
  expect(answers.size).toBe(1);
});
