import { describe, expect, it } from "vitest";
import type { Revision } from "../src/index.ts";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, removals, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();

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
    const catalog = closing(await catalogOf(server, { filter: "kind = MNO", bookmarkIntervalMs: 2_000 }));
    expect(server.watches[0]?.request).toMatchObject({
      filter: "kind = MNO",
      initialSnapshot: true,
      startToken: "",
      bookmarkInterval: { seconds: 2n },
    });
    expect(catalog.status).toMatchObject({ source: "live", connected: true, token: token(7) });
    expect(catalog.status.configAgeMs).toBeGreaterThanOrEqual(0);
    expect(catalog.connections().map((each) => each.operatorId)).toEqual(["alpha", "beta"]);
    expect(catalog.connections((each) => each.connection.weight === 5)).toHaveLength(1);

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
        resync: false,
        events: [
          { ref: { operatorId: "beta" }, kind: "removed" },
          { ref: { operatorId: "beta", connectionId: "main" }, kind: "removed" },
        ],
      },
    ]);
    expect(revisions[0]?.events[0]?.connection?.weight).toBe(6);
    expect(catalog.operator("beta")).toBeUndefined();
  });

  it("finds connections by reference or by text, and nothing by names that objects inherit", async () => {
    const server = closing(await serving([operator("alpha", 5)]));
    const catalog = closing(await catalogOf(server));
    expect(catalog.connection("alpha/main")?.connection.weight).toBe(5);
    expect(catalog.connection({ operatorId: "alpha", connectionId: "main" })?.operator.id).toBe("alpha");
    for (const ref of ["alpha/other", "alpha/constructor", "alpha/__proto__", "alpha", "", "other/main"]) {
      expect(catalog.connection(ref)).toBeUndefined();
    }
  });

  it("returns frozen objects that stay as they were", async () => {
    const go = Promise.withResolvers<void>();
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("alpha", 5, { labels: { a: "1" } })], token(1));
            await go.promise;
            yield upserts([operator("alpha", 6)], token(2));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    const [list, alpha] = [catalog.connections(), catalog.operator("alpha")];
    expect(() => ((alpha as { notes: string }).notes = "x")).toThrow(TypeError);
    expect(() => ((alpha?.labels ?? {})["b"] = "2")).toThrow(TypeError);
    expect(() => delete (alpha?.connections ?? {})["main"]).toThrow(TypeError);
    expect(() => (list as unknown[]).push(1)).toThrow(TypeError);
    go.resolve();
    await catalog.waitFor(token(2));
    expect(alpha?.connections["main"]?.weight).toBe(5);
    expect(list[0]?.connection.weight).toBe(5);
    expect(catalog.connections()[0]?.connection.weight).toBe(6);
  });

  it("tells of an operator's own fields apart from its connections', and of re-binds", async () => {
    const go = Promise.withResolvers<void>();
    const endpoint = (host: string, priority: number) => ({ endpoints: { a: { host, priority } } });
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot(
              [{ id: "alpha", uid: "u", connections: { a: endpoint("h", 1), b: endpoint("h", 1) } }],
              token(1),
            );
            await go.promise;
            const connections = { a: endpoint("h", 2), b: endpoint("i", 1), c: {} };
            yield upserts([{ id: "alpha", uid: "u", notes: "n", etag: "e", connections }], token(2));
            yield upserts([{ id: "alpha", uid: "u", notes: "n", etag: "f", connections }], token(3));
            yield upserts([{ id: "alpha", uid: "other", connections: { a: {} } }], token(4));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    const changes = catalog.changes();
    go.resolve();
    const first = await changes.next();
    expect(
      first.value?.events.map(({ ref, kind, fields, rebind }) => [ref.connectionId, kind, fields, rebind]),
    ).toEqual([
      [undefined, "changed", ["notes"], false],
      ["a", "changed", ["endpoints.a.priority"], false],
      ["b", "changed", ["endpoints.a.host"], true],
      ["c", "added", [], false],
    ]);
    // Revision 3 touched the record only; in revision 4 another operator has the same id.
    const second = await changes.next();
    expect(second.value?.token).toBe(token(4));
    expect(second.value?.events.map(({ ref, kind }) => [ref.connectionId, kind])).toEqual([
      [undefined, "removed"],
      ["a", "removed"],
      ["b", "removed"],
      ["c", "removed"],
      [undefined, "added"],
      ["a", "added"],
    ]);
  });
});

function serving(operators: Parameters<typeof snapshot>[0]) {
  return startMeshServer({
    watches: [
      async function* ({ signal }) {
        yield* snapshot(operators, token(1));
        await untilGone(signal);
      },
    ],
  });
}
