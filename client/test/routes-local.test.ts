import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import type { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { NoRouteReason, RouteReason } from "@operator-management/contract/ops/v1/route_pb.js";
import { expect, it } from "vitest";
import { HealthFollower, Routes, type OperatorCatalog } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, removals, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const { ENABLED } = AdminState;
const NOW = Date.parse("2030-01-31T12:00:00Z");
const network = "26201";

/** An operator with one link to 26201, with this priority. */
function linked(id: string, priority: number): MessageInitShape<typeof OperatorSchema> {
  const coverage = [{ kind: { case: "mccmnc" as const, value: network } }];
  const state = { adminState: ENABLED, effectiveState: ENABLED };
  const credential = { active: { id: `credential-of-${id}` } };
  return operator(id, 100, {
    adminState: ENABLED,
    connections: { main: { ...state, priority, coverage, credential } },
  });
}

/** A catalog, health and routes over a service with `alpha` before `beta`, of which alpha is DOWN. `step` changes the configuration. */
async function routing() {
  const steps = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const staleSince = new Date(NOW - 5_000);
  const server = closing(
    await startMeshServer({
      watches: [
        async function* ({ signal }) {
          yield* snapshot([linked("alpha", 10), linked("beta", 20)], token(1));
          await steps[0]?.promise;
          yield upserts([linked("gamma", 5)], token(2));
          yield removals(["beta"], token(3));
          await steps[1]?.promise;
          yield bookmark(token(3), { staleSince });
          await untilGone(signal);
        },
      ],
      mesh: {
        async *watchHealth(_, { signal }) {
          const health = { state: OperationalState.DOWN };
          const links = [{ operatorId: "alpha", operatorUid: "uid-alpha", connectionId: "main", health }];
          yield { links, initialComplete: true, healthTime: timestampFromMs(NOW) };
          await untilGone(signal);
        },
      },
    }),
  );
  const catalog = closing(await catalogOf(server));
  const clock = { now: NOW };
  const now = () => clock.now;
  const health = closing(HealthFollower.start({ client: createMeshClient({ baseUrl: server.baseUrl }), now }));
  await health.ready();
  const routes = new Routes({ catalog, health, now });
  const ids = (): string[] => routes.resolve({ network }).result.routes.map(({ operatorId }) => operatorId);
  return { catalog, health, routes, clock, ids, staleSince, step: (n: number) => steps[n]?.resolve() };
}

it("routes follow health and the configuration, and say what they rest on, as ResolveRoutes does", async () => {
  const { catalog, routes, ids, step, staleSince } = await routing();
  expect(routes.resolve({ network })).toMatchObject({
    token: token(1),
    healthTime: new Date(NOW),
    staleSince: undefined,
  });
  expect(ids()).toEqual(["beta"]);
  expect(routes.pick(routes.resolve({ network }), "message-1")).toMatchObject({
    operatorId: "beta",
    connectionId: "main",
  });
  step(0);
  await catalog.waitFor(token(3));
  expect(ids()).toEqual(["gamma"]);
  expect(routes.resolve({ network }).token).toBe(token(3));
  step(1);
  await expect.poll(() => routes.resolve({ network }).staleSince, { timeout: 15_000 }).toEqual(staleSince);
});

it("an explanation names the links that are left out and why, in words too", async () => {
  const { routes } = await routing();
  const { result, lines } = routes.explain({ network });
  expect(result.excluded).toMatchObject([
    { operatorId: "alpha", reasons: [RouteReason.STATE_DOWN, RouteReason.NO_TX_BIND] },
  ]);
  expect(lines).toEqual([expect.stringMatching(/^1\. beta\/main: /), expect.stringMatching(/^not alpha\/main: /)]);
  expect(routes.resolve({ network: "26202" }).result.noRoute).toBe(NoRouteReason.NO_COVERAGE);
});

it("without health all links are routed, in order: before anything is heard, and when nothing is heard any more", async () => {
  const { catalog, clock, ids } = await routing();
  expect(idsOf(new Routes({ catalog }))).toEqual(["alpha", "beta"]);
  clock.now += 30_000;
  expect(ids()).toEqual(["alpha", "beta"]);
});

it("a listener that asks is answered by the configuration that it was told of, whoever was told first", async () => {
  const { catalog, step } = await routing();
  const seen: string[][] = [];
  const routes: { it?: Routes } = {};
  catalog.on("change", () => seen.push(routes.it ? idsOf(routes.it) : []));
  routes.it = new Routes({ catalog });
  step(0);
  await catalog.waitFor(token(3));
  expect(seen).toEqual([
    ["gamma", "alpha", "beta"],
    ["gamma", "alpha"],
  ]);
});

it("routes that are disposed of follow no more on their own, and are still right when asked", async () => {
  const { catalog, step } = await routing();
  const routes = new Routes({ catalog });
  routes[Symbol.dispose]();
  step(0);
  await catalog.waitFor(token(3));
  expect(idsOf(routes)).toEqual(["gamma", "alpha"]);
});

function idsOf(routes: Routes): string[] {
  return routes.resolve({ network }).result.routes.map(({ operatorId }) => operatorId);
}

it("the catalog's map of operators is a new one after every change", async () => {
  const { catalog, step } = await routing();
  const before: OperatorCatalog["operators"] = catalog.operators;
  step(0);
  await catalog.waitFor(token(3));
  expect([[...before.keys()], [...catalog.operators.keys()]]).toEqual([
    ["alpha", "beta"],
    ["alpha", "gamma"],
  ]);
});
