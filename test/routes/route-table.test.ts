import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { decodeToken } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { NoRouteReason } from "@operator-management/contract/ops/v1/route_pb.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { loadedCatalog } from "./loaded-catalog.ts";
import { startRoutesServer, type RoutesServer } from "./routes-server.ts";

type OperatorInit = MessageInitShape<typeof OperatorSchema>;

function routed(network: string, links = 1): OperatorInit {
  const connections = Array.from({ length: links }, (_, n) => [
    `link-${n}`,
    {
      adminState: AdminState.ENABLED,
      credential: { active: { id: "c" } },
      coverage: [{ kind: { case: "mccmnc", value: network } }],
    },
  ]);
  return { adminState: AdminState.ENABLED, connections: Object.fromEntries(connections) as Operator["connections"] };
}

function operatorOf(id: string, init: OperatorInit): Operator {
  return create(OperatorSchema, { ...init, id, uid: `uid-of-${id}` });
}

describe("beside a catalog that follows the database", () => {
  const followed = useFollowedStore();

  test("routes are of the position that the reply names, after every kind of change", async () => {
    const { store } = followed;
    await store.commit({ put: "a", with: routed("26201") });
    const { catalog } = await followed.follow();
    await using server = await startRoutesServer(catalog);
    const names = async (network: string): Promise<string[]> => {
      const value = true;
      const consistency = { requirement: { case: "fullyConsistent", value } } as const;
      const reply = await server.mesh.resolveRoutes({ queries: [{ network }], consistency });
      expect(decodeToken(reply.token)?.revision).toBe((await store.head()).revision);
      return reply.results.flatMap(({ routes }) => routes.map(({ operatorId }) => operatorId));
    };
    expect(await names("26201")).toEqual(["a"]);
    await store.commit({ put: "b", with: routed("26201") }, { put: "a", with: routed("26202") });
    expect(await names("26201")).toEqual(["b"]);
    expect(await names("26202")).toEqual(["a"]);
    await store.commit({ delete: "b" });
    expect(await names("26201")).toEqual([]);
    await store.commit({ undelete: "b" });
    expect(await names("26201")).toEqual(["b"]);
    await store.loseHistory();
    await store.commit({ put: "c", with: routed("26201") });
    expect(await names("26201")).toEqual(["c"]);
    expect(await names("26202")).toEqual([]);
  });
});

describe("beside a catalog by hand", () => {
  let catalog: Catalog;
  let server: RoutesServer;
  beforeEach(async () => {
    catalog = new Catalog();
    catalog.follow({ refresh: () => Promise.resolve() });
    server = await startRoutesServer(catalog);
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function reasonFor(call: Promise<unknown>): Promise<ErrorReason | undefined> {
    return call.then(
      () => undefined,
      (error: unknown) => reasonOf(error),
    );
  }

  test("nothing is answered before the catalog is loaded, and all of it after", async () => {
    const queries = [{ network: "26201" }];
    expect(await reasonFor(server.mesh.resolveRoutes({ queries }))).toBe(ErrorReason.CATALOG_NOT_LOADED);
    const operators = Array.from({ length: 2_000 }, (_, n) => operatorOf(`op-${n}`, routed("26201", 2)));
    catalog.replace(loadedCatalog(operators));
    // Loading goes on bit by bit; nobody sees a part of it.
    const { results } = await server.mesh.resolveRoutes({ queries });
    expect(results[0]?.routes).toHaveLength(4_000);
  });

  test("a reading keeps its state while the catalog goes on, and the next one has the new one", async () => {
    catalog.replace(loadedCatalog([operatorOf("a", routed("26201"))], 1n));
    const { routes } = server;
    const proceed = Promise.withResolvers<void>();
    const read = routes.read(async ({ index, position }) => {
      await proceed.promise;
      return { links: index.size, revision: position.revision };
    });
    const both = [operatorOf("a", routed("26201")), operatorOf("b", routed("26201"))];
    catalog.replace(loadedCatalog(both, 2n));
    const next = routes.read(async ({ index, position }) => ({ links: index.size, revision: position.revision }));
    proceed.resolve();
    expect(await read).toEqual({ links: 1, revision: 1n });
    expect(await next).toEqual({ links: 2, revision: 2n });
  });

  test("who waits for a reading to end stops waiting with its signal", async () => {
    catalog.replace(loadedCatalog([operatorOf("a", routed("26201"))], 1n));
    const proceed = Promise.withResolvers<void>();
    const read = server.routes.read(() => proceed.promise);
    catalog.replace(loadedCatalog([], 2n));
    const waiting = new AbortController();
    const next = server.routes.read(async () => undefined, waiting.signal);
    waiting.abort(new Error("no longer"));
    await expect(next).rejects.toThrow("no longer");
    proceed.resolve();
    await read;
  });

  test("a thousand queries are answered in their order", async () => {
    catalog.replace(loadedCatalog([operatorOf("a", routed("26201"))]));
    const queries = Array.from({ length: 1_000 }, (_, n) => ({ network: String(26_000 + n) }));
    const { results } = await server.mesh.resolveRoutes({ queries });
    expect(results).toHaveLength(1_000);
    expect(results.findIndex(({ routes }) => routes.length > 0)).toBe(201);
    expect(results[0]?.noRoute).toBe(NoRouteReason.NO_COVERAGE);
  });

  test("answers that are too large together say what to do, and max_routes helps", async () => {
    catalog.replace(loadedCatalog(Array.from({ length: 100 }, (_, n) => operatorOf(`op-${n}`, routed("26201", 2)))));
    const queries = Array.from({ length: 1_000 }, () => ({ network: "26201" }));
    const error = server.mesh.resolveRoutes({ queries });
    expect(await reasonFor(error)).toBe(ErrorReason.MESSAGE_TOO_LARGE);
    await expect(error).rejects.toThrow("max_routes");
    // The first tier is all there is here, so that isn't cut.
    const few = await server.mesh.resolveRoutes({ queries: queries.slice(0, 50) });
    expect(few.results.every(({ routes }) => routes.length === 200)).toBe(true);
  });

  test("no more than 20 queries of a call may ask for an explanation, and it lists at most 1,000 links", async () => {
    const operators = Array.from({ length: 60 }, (_, n) => operatorOf(`op-${n}`, routed("26202", 20)));
    catalog.replace(loadedCatalog([...operators, operatorOf("zz", routed("26201"))]));
    const explained = { network: "26201", explain: true, only: [{ operatorId: "op-9", connectionId: "link-9" }] };
    const queries = Array.from({ length: 21 }, () => explained);
    expect(await reasonFor(server.mesh.resolveRoutes({ queries }))).toBe(ErrorReason.FIELD_INVALID);
    const { results } = await server.mesh.resolveRoutes({ queries: queries.slice(0, 1) });
    expect(results[0]?.excluded).toHaveLength(1_000);
    expect(results[0]?.excludedOmitted).toBe(201);
    // What matches, and what the query names, is there whatever its id.
    const names = results[0]?.excluded.map(({ operatorId, connectionId }) => `${operatorId}/${connectionId}`);
    expect(names).toContain("zz/link-0");
    expect(names).toContain("op-9/link-9");
    expect(names).toEqual(names?.toSorted((a, b) => (a.replace("/", " ") < b.replace("/", " ") ? -1 : 1)));
  });
});
