import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { catalogOf, next } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";
import { failing, once, resuming } from "./harness/scripts.ts";

const closing = closingAfterEach();

describe("a catalog starts over", () => {
  it.each([
    ["REVISION_COMPACTED", Code.OutOfRange, token(9)],
    ["HISTORY_CHANGED", Code.OutOfRange, token(1, { history: 2 })],
    ["TOKEN_FOREIGN", Code.InvalidArgument, token(1, { store: 2 })],
  ])("after %s, with the old configuration readable until the new one is complete", async (reason, code, at) => {
    const complete = Promise.withResolvers<void>();
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.Unavailable, "SHUTTING_DOWN")),
          // eslint-disable-next-line require-yield -- the first thing this watch says is its end
          async function* () {
            throw serviceError(code, reason);
          },
          async function* ({ signal }) {
            yield upserts([operator("alpha", 2)]);
            yield upserts([operator("gamma", 1)]);
            await complete.promise;
            yield bookmark(at, { complete: true });
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    const [changes, resync] = [catalog.changes(), next(catalog, "resync")];
    await expect.poll(() => server.watches.length).toBe(3);
    expect(server.watches[2]?.request).toMatchObject({ initialSnapshot: true, startToken: "" });
    expect(catalog.connections().map((each) => [each.operatorId, each.connection.weight])).toEqual([
      ["alpha", 1],
      ["beta", 1],
    ]);
    complete.resolve();
    expect(await resync).toEqual({ token: at, reason });
    expect(catalog.connections().map((each) => [each.operatorId, each.connection.weight])).toEqual([
      ["alpha", 2],
      ["gamma", 1],
    ]);
    const { value } = await changes.next();
    expect(value).toMatchObject({ token: at, resync: true });
    expect(value?.events.map(({ ref, kind }) => [ref.operatorId, ref.connectionId, kind])).toEqual([
      ["alpha", "main", "changed"],
      ["beta", undefined, "removed"],
      ["beta", "main", "removed"],
      ["gamma", undefined, "added"],
      ["gamma", "main", "added"],
    ]);
  });

  it("but not with a snapshot older than what it has, from a replica that is behind", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.OutOfRange, "REVISION_COMPACTED"), token(5)),
          once(untilGone, token(4)),
          resuming(6),
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    await expect.poll(() => server.watches.length, { timeout: 5_000 }).toBe(3);
    expect(server.watches[1]?.request.initialSnapshot).toBe(true);
    expect(server.watches[2]?.request).toMatchObject({ startToken: token(5), initialSnapshot: false });
    await catalog.waitFor(token(6));
  });

  it("in the history that is left, even when it is shorter", async () => {
    const server = closing(
      await startMeshServer({
        watches: [
          once(failing(Code.OutOfRange, "HISTORY_CHANGED"), token(5)),
          once(untilGone, token(3, { history: 2 })),
        ],
      }),
    );
    const catalog = closing(await catalogOf(server));
    await expect.poll(() => catalog.status.token).toBe(token(3, { history: 2 }));
  });
});
