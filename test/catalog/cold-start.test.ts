import { encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Tail } from "../../src/catalog/tail.ts";
import { parseFilter } from "../../src/filter/filter.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { RecordedWatch, watchSources } from "../watch/support/recorded-watch.ts";
import { readClients } from "./support/read-clients.ts";
import { TestStore } from "./support/test-store.ts";
import { TwoServers } from "./support/two-servers.ts";
import { until } from "./support/until.ts";

let primary: TestStore;
let standby: TestStore;
let servers: TwoServers;
let catalog: Catalog;
let tail: Tail | undefined;
beforeAll(async () => {
  [primary, standby] = await Promise.all([TestStore.open(), TestStore.open()]);
});
afterAll(async () => {
  await Promise.all([primary.close(), standby.close()]);
});
beforeEach(async () => {
  await primary.reset();
  await primary.commit({ put: "a" });
  servers = new TwoServers(primary.database, standby.database);
  await servers.replicate();
  catalog = new Catalog();
});
afterEach(async () => {
  await tail?.close();
});

/** Short patience, so that a frozen server is given up soon. */
const patience = { headMs: 200, readMs: 2_000 };
function follow(): Tail {
  tail = Tail.start({ database: servers, catalog, logger: pino({ enabled: false }), patience });
  return tail;
}
const ids = (): string[] => catalog.snapshot().map(({ id }) => id);
const { hash } = parseFilter("");

/** What a watch ends with. */
async function endOf(watch: RecordedWatch): Promise<string> {
  for (;;) {
    try {
      await watch.next();
    } catch (error) {
      return ErrorReason[reasonOf(error) ?? ErrorReason.UNSPECIFIED];
    }
  }
}

test.each(["away", "frozen"] as const)(
  "a start without the primary (%s) is a start from the standby, marked stale until the primary has confirmed it",
  async (state) => {
    servers.state = state;
    const { loaded } = follow();
    await loaded;
    expect(ids()).toEqual(["a"]);
    expect(catalog.staleSince).toBeDefined();
    const { mesh } = readClients(catalog, { database: servers });
    expect((await mesh.getOperator({ operatorId: "a" })).staleSince).toBeDefined();
    const kept = catalog.get("a");

    const position = await primary.commit({ put: "b" });
    servers.state = "up";
    tail?.wake();
    await until(() => catalog.staleSince === undefined);
    expect(catalog.position).toEqual(position);
    expect(catalog.get("a")).toBe(kept);
    expect(tail?.loads, "what the standby had was right").toBe(1);
  },
);

test("positions that the standby doesn't have are neither confirmed nor denied before the primary has spoken", async () => {
  const newer = await primary.commit({ put: "b" });
  servers.state = "away";
  await follow().loaded;
  const lost = { ...newer, revision: 1n };
  for (const position of [newer, lost]) {
    const waiting = catalog.waitFor({ ...position, filterHash: hash } as never);
    expect(await waiting.catch(reasonOf)).toBe(ErrorReason.CATALOG_BEHIND);
  }
  servers.state = "up";
  await catalog.waitFor(newer as never);
  expect(await catalog.waitFor(lost as never).catch(reasonOf)).toBe(ErrorReason.HISTORY_CHANGED);
});

test("a standby that holds a lost history is served, stale, until the primary is there: then who saw it lists again", async () => {
  await standby.commit({ put: "lost" });
  servers.state = "away";
  await follow().loaded;
  expect(ids()).toEqual(["a", "lost"]);
  const watch = new RecordedWatch(watchSources(catalog), { initialSnapshot: true });
  await watch.through(encodeToken(catalog.position, hash));

  await primary.commit({ put: "b" });
  servers.state = "up";
  await catalog.refresh();
  expect(ids()).toEqual(["a", "b"]);
  expect(await endOf(watch)).toBe("HISTORY_CHANGED");
});

test("once loaded, nothing is taken from the standby any more, however long the primary is away", async () => {
  const { loaded } = follow();
  await loaded;
  const position = await primary.commit({ put: "b" });
  await catalog.refresh();
  servers.state = "away";
  const failures = tail?.failures ?? 0;
  for (let polls = 1; polls <= 3; polls++) {
    await catalog.refresh().catch(() => undefined);
    await until(() => (tail?.failures ?? 0) >= failures + polls);
  }
  expect(catalog.position).toEqual(position);
  expect(ids()).toEqual(["a", "b"]);
});

test("with neither server it waits, and starts from whichever comes first", async () => {
  servers.state = "away";
  servers.standbyState = "away";
  const running = follow();
  await until(() => running.failures > 0);
  expect(catalog.loaded).toBe(false);
  servers.standbyState = "up";
  running.wake();
  await running.loaded;
  expect(catalog.staleSince).toBeDefined();
});

test("a poll that a frozen primary doesn't answer is given up, its connections are dropped, and the next one succeeds", async () => {
  await follow().loaded;
  servers.state = "frozen";
  await expect(catalog.refresh()).rejects.toThrow("try again");
  await until(() => servers.drops > 0);
  expect(catalog.staleSince).toBeDefined();
  servers.state = "up";
  const position = await primary.commit({ put: "b" });
  await catalog.refresh();
  expect(catalog.position).toEqual(position);
  expect(catalog.staleSince).toBeUndefined();
});

test("a process cut off from the primary never says HISTORY_CHANGED, nor ends a watch", async () => {
  await follow().loaded;
  const lostHere = await primary.commit({ put: "b" });
  await catalog.refresh();
  const watch = new RecordedWatch(watchSources(catalog), { startToken: encodeToken(lostHere, hash), bookmarkMs: 20 });
  await watch.next();
  servers.state = "away";
  // The others follow another primary, with another history.
  await primary.loseHistory();
  const elsewhere = [
    await primary.commit({ put: "x" }),
    await primary.commit({ put: "y" }),
    await primary.commit({ put: "z" }),
  ];
  for (const position of elsewhere) {
    const resumed = new RecordedWatch(watchSources(catalog), { startToken: encodeToken(position, hash) });
    expect(await resumed.next().catch(reasonOf)).toBe(ErrorReason.CATALOG_BEHIND);
  }
  expect(await watch.next()).toMatchObject({ kind: "bookmark", staleSince: catalog.staleSince });
  servers.state = "up";
  await catalog.refresh();
  expect(await endOf(watch)).toBe("HISTORY_CHANGED");
  expect(ids()).toEqual(["x", "y", "z"]);
});
