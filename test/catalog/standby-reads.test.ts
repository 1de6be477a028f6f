import { timestampDate } from "@bufbuild/protobuf/wkt";
import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { Tail } from "../../src/catalog/tail.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { readClients } from "./support/read-clients.ts";
import { TestStore } from "./support/test-store.ts";
import { TwoServers } from "./support/two-servers.ts";

let primary: TestStore;
let standby: TestStore;
let servers: TwoServers;
let catalog: Catalog;
let tail: Tail;
beforeAll(async () => {
  [primary, standby] = await Promise.all([TestStore.open(), TestStore.open()]);
});
afterAll(async () => {
  await Promise.all([primary.close(), standby.close()]);
});

/** gone: created and deleted; here: live. The standby has it all. */
beforeEach(async () => {
  await primary.reset();
  await primary.commit({ put: "gone" }, { put: "here" });
  await primary.commit({ delete: "gone" });
  servers = new TwoServers(primary.database, standby.database);
  await servers.replicate();
  catalog = new Catalog();
  tail = Tail.start({ database: servers, catalog, logger: pino({ enabled: false }) });
  await tail.loaded;
});
afterEach(() => tail.close());

const clients = () => readClients(catalog, { database: servers, wake: () => tail.wake() }).admin;
const reasonFor = (call: Promise<unknown>): Promise<string | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => ErrorReason[reasonOf(error) ?? ErrorReason.UNSPECIFIED],
  );
const fully = { requirement: { case: "fullyConsistent", value: true } } as const;
const atLeast = (position: Position) =>
  ({ requirement: { case: "atLeastAsFresh", value: encodeToken(position) } }) as const;

/** The primary doesn't answer, and that has been noticed. */
async function loseThePrimary(state: "away" | "frozen" = "away"): Promise<void> {
  servers.state = state;
  await catalog.refresh().catch(() => undefined);
  expect(catalog.staleSince).toBeDefined();
}

describe("while the primary answers", () => {
  test("a standby that has everything serves deleted operators and history", async () => {
    const head = encodeToken(await primary.head());
    expect(await clients().getOperator({ operatorId: "gone" })).toMatchObject({
      operator: { id: "gone" },
      token: head,
    });
    expect(servers.readFrom).toBe("standby");
    const { revisions, token } = await clients().listOperatorRevisions({ operatorId: "gone" });
    expect([revisions.map(({ revisionId }) => revisionId), token]).toEqual([["2", "1"], head]);
    expect(servers.readFrom).toBe("standby");
    await clients().getOperatorRevision({ operatorId: "gone", revisionId: "1" });
    expect(servers.readFrom).toBe("standby");
    const { operators } = await clients().listOperators({ showDeleted: true });
    expect(operators.map(({ id }) => id)).toEqual(["gone", "here"]);
    expect(servers.readFrom).toBe("standby");
  });

  test("one that lags isn't asked for what it lacks, and serves those who need no more", async () => {
    const before = await primary.head();
    await primary.commit({ put: "here", with: { notes: "new" } });
    const { revisions } = await clients().listOperatorRevisions({ operatorId: "here" });
    expect(revisions.map(({ revisionId }) => revisionId)).toEqual(["3", "1"]);
    expect(servers.readFrom).toBe("primary");
    const older = await clients().listOperatorRevisions({ operatorId: "here", consistency: atLeast(before) });
    expect(servers.readFrom).toBe("standby");
    expect(older.revisions.map(({ revisionId }) => revisionId)).toEqual(["1"]);
    expect(older.token, "of what was read").toBe(encodeToken(before));
  });

  test.each(["as long", "longer"])(
    "one with another history, %s as the primary's, is never believed",
    async (length) => {
      await standby.loseHistory();
      await standby.commit({ put: "gone", with: { notes: "lost" } });
      await standby.commit({ delete: "gone" });
      if (length === "longer") await standby.commit({ put: "more" });
      const { operator } = await clients().getOperator({ operatorId: "gone" });
      expect(operator?.notes).toBe("");
      expect(servers.readFrom).toBe("primary");
    },
  );

  test("one that is ahead of this process is believed where its records lead on from here", async () => {
    await tail.close(); // from here on this process knows nothing new
    await primary.commit({ put: "later" });
    const newest = await primary.commit({ delete: "later" });
    await servers.replicate();
    const consistency = { requirement: { case: "minimizeLatency", value: true } } as const;
    const read = () => clients().getOperator({ operatorId: "later", consistency });
    expect((await read()).token).toBe(encodeToken(newest));
    expect(servers.readFrom).toBe("standby");
    expect((await read()).token).toBe(encodeToken(newest));
  });

  test("the primary itself isn't believed before this process has noticed that it lost history", async () => {
    await tail.close();
    servers.standbyState = "away";
    await primary.loseHistory();
    await primary.commit({ put: "other" });
    const consistency = { requirement: { case: "minimizeLatency", value: true } } as const;
    const call = clients().listOperatorRevisions({ operatorId: "other", consistency });
    expect(await reasonFor(call)).toBe("CATALOG_BEHIND");
  });

  test("a further page needs no more than the first one had, on whatever replica of the service", async () => {
    for (const notes of ["1", "2", "3"]) await primary.commit({ put: "here", with: { notes } });
    const first = await clients().listOperatorRevisions({ operatorId: "here", pageSize: 2 });
    await servers.replicate();
    await primary.commit({ put: "here", with: { notes: "4" } });
    const { nextPageToken: pageToken } = first;
    const second = await clients().listOperatorRevisions({ operatorId: "here", pageSize: 2, pageToken });
    expect(servers.readFrom).toBe("standby");
    expect([...first.revisions, ...second.revisions].map(({ revisionId }) => revisionId)).toEqual(["5", "4", "3", "1"]);
    expect(second.token).toBe(first.token);
  });
});

describe("while the primary is away", () => {
  test.each(["away", "frozen"] as const)("what the standby has is served, marked stale (%s)", async (state) => {
    await loseThePrimary(state);
    const { operator, staleSince } = await clients().getOperator({ operatorId: "gone" });
    expect(operator?.id).toBe("gone");
    expect(staleSince && timestampDate(staleSince)).toEqual(catalog.staleSince);
  });

  test("older content will do for those who asked for nothing, with the token of what it is; not for the others", async () => {
    const behind = await primary.head();
    await primary.commit({ put: "fresh" });
    await primary.commit({ delete: "here" });
    const newest = await primary.commit({ undelete: "gone" });
    await catalog.refresh();
    await loseThePrimary();
    const { token, staleSince, revisions } = await clients().listOperatorRevisions({ operatorId: "gone" });
    expect(token).toBe(encodeToken(behind));
    expect(staleSince).toBeDefined();
    expect(revisions.map(({ revisionId }) => revisionId)).toEqual(["2", "1"]);
    const all = await clients().listOperators({ showDeleted: true });
    expect(all.operators.map(({ id, deleteTime }) => [id, deleteTime])).toEqual([
      ["fresh", undefined],
      ["gone", undefined], // memory knows that it was undeleted
    ]);

    const name = { operatorId: "gone" };
    expect(await reasonFor(clients().listOperatorRevisions({ ...name, consistency: atLeast(newest) }))).toBe(
      "DATABASE_UNAVAILABLE",
    );
    expect(await reasonFor(clients().listOperatorRevisions({ ...name, consistency: fully }))).toBe(
      "DATABASE_UNAVAILABLE",
    );
    expect(await reasonFor(clients().listOperatorRevisions({ ...name, consistency: atLeast(behind) }))).toBeUndefined();
  });

  test("what an older standby doesn't have isn't said to be missing", async () => {
    await primary.commit({ put: "fresh" });
    await primary.commit({ delete: "fresh" });
    await primary.commit({ delete: "here" });
    await catalog.refresh();
    await loseThePrimary();
    const calls = [
      clients().getOperator({ operatorId: "fresh" }),
      clients().getOperator({ operatorId: "here" }),
      clients().listOperatorRevisions({ operatorId: "fresh" }),
      clients().getOperatorRevision({ operatorId: "here", revisionId: "5" }),
    ];
    expect(new Set(await Promise.all(calls.map(reasonFor)))).toEqual(new Set(["DATABASE_UNAVAILABLE"]));
    expect(await reasonFor(clients().getOperatorRevision({ operatorId: "here", revisionId: "1" }))).toBeUndefined();
  });

  test("a standby with another history serves nothing", async () => {
    await standby.loseHistory();
    await standby.commit({ put: "gone" });
    await loseThePrimary();
    expect(await reasonFor(clients().getOperator({ operatorId: "gone" }))).toBe("DATABASE_UNAVAILABLE");
    expect(await reasonFor(clients().getOperator({ operatorId: "here" })), "from memory").toBeUndefined();
  });

  test("a primary that goes away between two questions is no error either", async () => {
    await primary.commit({ put: "fresh" });
    await catalog.refresh();
    const refresh = catalog.refresh.bind(catalog);
    catalog.refresh = async (signal) => {
      await refresh(signal);
      servers.state = "away";
    };
    const { staleSince, operator } = await clients().getOperator({ operatorId: "gone" });
    expect(operator?.id).toBe("gone");
    expect(staleSince).toBeDefined();
  });
});
