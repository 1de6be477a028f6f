import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  ConnectionSecretSchema,
  ReportNodeStatusRequestSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedSecretStore } from "../../src/backends/secrets/embedded-secret-store.ts";
import { secretPath } from "../../src/credentials/secret-path.ts";
import { sweepCredentials } from "../../src/credentials/sweep.ts";
import { credential, requestLog } from "../../src/db/schema.ts";
import { credentialsInUse } from "../../src/fleet/credentials-in-use.ts";
import { FleetRecorder } from "../../src/fleet/fleet-recorder.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened, type OpenedDatabase } from "../db/opened-database.ts";
import { History } from "../../src/history/commit.ts";
import { commit, created, operatorWith } from "../history/store.ts";

const DAY_MS = 24 * 60 * 60_000;
const { signal } = new AbortController();
const now = (): Date => new Date();
let postgres: Postgres;
let databases = 0;
beforeAll(async () => {
  postgres = await startPostgres({ replica: false });
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** One database, as two pods have it open. */
async function twoPods(): Promise<readonly [OpenedDatabase, OpenedDatabase]> {
  const urls = await postgres.createDatabase(`two_leaders_${databases++}`);
  await migrated(urls);
  return [opened({ primary: urls.serviceUrl }), opened({ primary: urls.serviceUrl })];
}

test("two sweeps at once leave what one would, again and again, and nothing that any pod's node has bound is touched", async () => {
  const [first, second] = await twoPods();
  await using _first = first;
  await using _second = second;
  const folder = await mkdtemp(join(tmpdir(), "two-leaders-"));
  const secrets = await EmbeddedSecretStore.open(folder);
  const age = (ms: number) => timestampFromDate(new Date(Date.now() - ms));
  const rows = ["STAGED", "SUPERSEDED", "REJECTED", "ACTIVE", "PENDING"].flatMap((state, connection) =>
    Array.from({ length: 8 }, (_, version) => {
      const [id, operatorUid, connectionId] = [randomUUID(), randomUUID(), `c${connection}`];
      return {
        ...{ id, operatorUid, connectionId, version, state, systemId: "", mode: null, actor: "ann", requestId: "" },
        path: secretPath({ operatorId: "acme", operatorUid, connectionId, credentialId: id }),
        ...{ createTime: age(9 * DAY_MS), stateTime: age(8 * DAY_MS) },
      };
    }),
  );
  await first.db.insert(credential).values(rows);
  for (const { id, path } of rows)
    await secrets.put(path, create(ConnectionSecretSchema, { credentialId: id, password: "x" }), signal);

  // The second pod's node has bound with one that was superseded, and one that was rejected; the first pod's sweep must know.
  const bound: string[] = [
    rows.find(({ state }) => state === "SUPERSEDED")!.id,
    rows.find(({ state }) => state === "REJECTED")!.id,
  ];
  const logger = pino({ enabled: false });
  const fleets = [new Fleet(now), new Fleet(now)] as const;
  const recorder = new FleetRecorder({ db: second.db, fleet: fleets[1], logger, now, intervalMs: 5 });
  const connections = [{ binds: bound.map((credentialId) => ({ credentialId })) }];
  fleets[1].report(
    "smpp-connector",
    create(ReportNodeStatusRequestSchema, { node: "n", epoch: 1n, connections }),
    undefined,
  );
  recorder.wake();
  await until("the report is stored", () => fleets[1].unsaved().length === 0);

  const sweep = ({ db }: OpenedDatabase, fleet: Fleet) =>
    sweepCredentials({ db, secrets, now, credentialsInUse: () => credentialsInUse(db, fleet) }, signal);
  for (let round = 0; round < 3; round++) await Promise.all([sweep(first, fleets[0]), sweep(second, fleets[1])]);

  const left = await first.db.select().from(credential);
  for (const { id, state, path, secretDeleteTime, secretDestroyTime } of left) {
    const usable = state === "ACTIVE" || state === "PENDING" || bound.includes(id);
    expect(await secrets.get(path, signal).then((secret) => secret !== undefined), `${state} ${id}`).toBe(usable);
    expect(secretDeleteTime === null).toBe(usable);
    expect(secretDestroyTime).toBeNull();
  }
  expect(left.filter(({ state }) => state === "ABANDONED")).toHaveLength(8);

  await first.db.update(credential).set({ secretDeleteTime: age(31 * DAY_MS) });
  await Promise.all([sweep(first, fleets[0]), sweep(second, fleets[1])]);
  const destroyed = (await first.db.select().from(credential)).filter(
    ({ secretDestroyTime }) => secretDestroyTime !== null,
  );
  expect(destroyed.map(({ id }) => id).filter((id) => bound.includes(id))).toEqual([]);
  expect(destroyed).toHaveLength(38);

  await recorder.close();
  await secrets.close();
  await rm(folder, { recursive: true });
});

test("two pods that write purge the log of requests: what is forgotten goes, what is remembered stays and answers", async () => {
  const [first, second] = await twoPods();
  await using _first = first;
  await using _second = second;
  const histories = [first, second].map(({ db }) => new History({ db, onCommit: () => undefined }));
  const remembered = randomUUID();
  const reply = await commit(histories[0]!, [created(operatorWith({ id: "kept" }))], { requestId: remembered });
  const old = Array.from({ length: 1_200 }, () => ({
    ...{ principal: "bob", method: "CreateOperator", requestId: randomUUID() },
    ...{ requestHash: new Uint8Array(32), reply: new Uint8Array(), revision: 1n },
    createTime: timestampFromDate(new Date(Date.now() - 25 * 60 * 60_000)),
  }));
  await first.db.insert(requestLog).values(old);
  // A pod purges once a minute, so these are new ones.
  const fresh = Array.from(
    { length: 8 },
    (_, n) => new History({ db: [first, second][n % 2]!.db, onCommit: () => undefined }),
  );
  await Promise.all(fresh.map((history, n) => commit(history, [created(operatorWith({ id: `op-${n}` }))])));
  const left = await first.db.select({ id: requestLog.requestId }).from(requestLog);
  expect(left).toEqual([{ id: remembered }]);
  const again = await Promise.all(
    histories.map((history) => commit(history, [created(operatorWith({ id: "kept" }))], { requestId: remembered })),
  );
  expect(again.map(({ token }) => token)).toEqual([reply.token, reply.token]);
});
