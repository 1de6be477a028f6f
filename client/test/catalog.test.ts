import { afterEach, describe, expect, it } from "vitest";
import { OperatorCatalog, type Revision } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { operator, removals, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { startMeshServer, type MeshServer } from "./harness/mesh-server.ts";

const closers: AsyncDisposable[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer[Symbol.asyncDispose]();
});

function closing<T extends AsyncDisposable>(value: T): T {
  closers.push(value);
  return value;
}

async function catalogOf(server: MeshServer): Promise<OperatorCatalog> {
  return closing(await OperatorCatalog.start({ client: createMeshClient(server) }));
}

describe("a catalog", () => {
  it("starts with a snapshot and follows the changes", async () => {
    const go = Promise.withResolvers<void>();
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("beta"), operator("alpha", 5)], token(7));
            await go.promise;
            yield upserts([operator("alpha", 6)], token(8));
            yield removals(["beta"], token(9));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = await catalogOf(server);
    expect(server.watches[0]?.request).toMatchObject({ initialSnapshot: true, startToken: "", filter: "" });
    expect(catalog.status).toMatchObject({ source: "live", connected: true, token: token(7) });
    expect(catalog.connections().map((each) => each.operatorId)).toEqual(["alpha", "beta"]);
    expect(catalog.connection("alpha/main")?.connection.weight).toBe(5);
    expect(catalog.connection({ operatorId: "alpha", connectionId: "other" })).toBeUndefined();
    expect(Object.isFrozen(catalog.operator("alpha")?.connections["main"])).toBe(true);

    const revisions: Revision[] = [];
    const changes = catalog.changes();
    go.resolve();
    for await (const revision of changes) {
      revisions.push(revision);
      if (revisions.length === 2) break;
    }
    expect(revisions).toMatchObject([
      {
        token: token(8),
        resync: false,
        events: [
          { ref: { operatorId: "alpha", connectionId: "main" }, kind: "changed", fields: ["weight"], rebind: false },
        ],
      },
      {
        token: token(9),
        events: [
          { ref: { operatorId: "beta" }, kind: "removed" },
          { ref: { operatorId: "beta", connectionId: "main" }, kind: "removed" },
        ],
      },
    ]);
    expect(catalog.operator("beta")).toBeUndefined();
  });
});
