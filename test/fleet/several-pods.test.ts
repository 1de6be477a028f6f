import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import type { Position } from "@operator-management/client";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { OpenDatabase } from "../../src/db/db.ts";
import { nodeStatus } from "../../src/db/schema.ts";
import { credentialsInUse } from "../../src/fleet/credentials-in-use.ts";
import { FleetRecorder } from "../../src/fleet/fleet-recorder.ts";
import { Fleet, type ReportOutcome } from "../../src/fleet/fleet.ts";
import { fleetStatusHandlers } from "../../src/fleet/handlers.ts";
import { openPreparedDatabase } from "../harness/prepared-postgres.ts";

type ReportInit = MessageInitShape<typeof ReportNodeStatusRequestSchema>;
const position: Position = { store: new Uint8Array(16).fill(1), revision: 7n, fingerprint: new Uint8Array(32).fill(7) };
let database: OpenDatabase;
let now: number;
const pods: Pod[] = [];

beforeAll(async () => {
  database = await openPreparedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  now = Date.now();
  await database.db.delete(nodeStatus);
});
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.recorder.close()));
});

/** One pod's part of the fleet, on the database of all; its clock may be wrong. */
class Pod {
  readonly fleet: Fleet;
  readonly recorder: FleetRecorder;
  readonly #clock: () => Date;

  constructor(clockAhead = 0) {
    this.#clock = () => new Date(now + clockAhead);
    this.fleet = new Fleet(this.#clock);
    const logger = { warn: () => undefined } as never;
    const { db } = database;
    const deps = { db, fleet: this.fleet, logger, now: this.#clock };
    this.recorder = new FleetRecorder({ ...deps, intervalMs: 5, mergeIntervalMs: 60_000, patienceMs: 5_000 });
    pods.push(this);
  }

  /** Takes a report and waits until it is stored. */
  async report(init: ReportInit): Promise<ReportOutcome> {
    const outcome = this.hear(init);
    await vi.waitFor(() => expect(this.fleet.unsaved()).toEqual([]));
    return outcome;
  }

  hear(init: ReportInit): ReportOutcome {
    const request = create(ReportNodeStatusRequestSchema, { node: "conn-1", epoch: 1n, ...init });
    const outcome = this.fleet.report("smpp-connector", request, undefined);
    this.recorder.wake();
    return outcome;
  }

  /** What GetFleetStatus shows: node, epoch and its number of binds. */
  async shown(): Promise<string[]> {
    const { fleet, recorder } = this;
    const transport = createRouterTransport(({ service }) =>
      service(OperatorAdminService, fleetStatusHandlers({ fleet, recorder, catalog: { position }, now: this.#clock })),
    );
    const { nodes } = await createClient(OperatorAdminService, transport).getFleetStatus({});
    return nodes.map(({ node, epoch, maxBinds }) => `${node} ${epoch} ${maxBinds}`);
  }
}

const bound = (credentialId: string): ReportInit => ({ connections: [{ binds: [{ credentialId }] }] });

test("a report to one pod shows on the others, and so does the next one, wherever it goes", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({ maxBinds: 1 });
  expect(await two.shown()).toEqual(["conn-1 1 1"]);
  now += 5_000;
  await two.report({ maxBinds: 2 });
  expect(await one.shown()).toEqual(["conn-1 1 2"]);
  await one.report({ node: "conn-2", maxBinds: 3 });
  expect(await two.shown()).toEqual(["conn-1 1 2", "conn-2 1 3"]);
});

test("that a node left is known everywhere, and its belated report is ignored everywhere", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({});
  expect(await two.shown()).toHaveLength(1);
  now += 10;
  await two.report({ leaving: true });
  expect(await one.shown()).toEqual([]);
  now += 10;
  expect(await one.report({})).toBe("IGNORED");
  expect(await one.report({ epoch: 2n })).toBe("ACCEPTED");
  expect(await two.shown()).toEqual(["conn-1 2 0"]);
});

test("an earlier run's report to a pod that hasn't heard of the later run doesn't replace it", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({ epoch: 5n });
  now += 10;
  expect(await two.report({ epoch: 4n })).toBe("ACCEPTED");
  expect(await one.shown()).toEqual(["conn-1 5 0"]);
  expect(await two.shown()).toEqual(["conn-1 5 0"]);
  const rows = await database.db.select().from(nodeStatus);
  expect(rows.map(({ epoch }) => epoch)).toEqual([5n]);
});

test("a node whose clock was set back counts again once all have not heard of it for a minute", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({ epoch: 5n });
  now += 60_001;
  await two.report({ epoch: 4n });
  expect(await one.shown()).toEqual(["conn-1 4 0"]);
});

test("a pod whose clock is ahead doesn't hold up what others hear later", async () => {
  const [ahead, right] = [new Pod(20_000), new Pod()];
  await ahead.report({ maxBinds: 1 });
  expect(await right.shown()).toEqual(["conn-1 1 1"]);
  now += 5_000;
  await right.report({ maxBinds: 2 });
  expect(await right.shown()).toEqual(["conn-1 1 2"]);
  expect(await ahead.shown()).toEqual(["conn-1 1 2"]);
});

test("while the database is away each pod shows what it knows, and reporters notice nothing", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({ maxBinds: 1 });
  expect(await two.shown()).toEqual(["conn-1 1 1"]);
  await database.db.execute(sql`alter table node_status rename to node_status_away`);
  now += 10;
  expect(one.hear({ maxBinds: 2 })).toBe("ACCEPTED");
  expect(await one.shown()).toEqual(["conn-1 1 2"]);
  expect(await two.shown()).toEqual(["conn-1 1 1"]);
  await expect(credentialsInUse(database.db, two.fleet)).rejects.toThrow();
  await database.db.execute(sql`alter table node_status_away rename to node_status`);
  await vi.waitFor(async () => expect(await two.shown()).toEqual(["conn-1 1 2"]));
});

test("a credential is in use if any pod's node names it, also one that is silent lately, until it leaves", async () => {
  const [one, two] = [new Pod(), new Pod()];
  await one.report({ node: "conn-1", ...bound("one") });
  two.hear({ node: "conn-2", ...bound("two") }); // perhaps not stored yet
  const inUse = async (pod: Pod): Promise<string[]> => [...(await credentialsInUse(database.db, pod.fleet))].sort();
  expect(await inUse(two)).toEqual(["one", "two"]);
  await vi.waitFor(() => expect(two.fleet.unsaved()).toEqual([]));
  expect(await inUse(one)).toEqual(["one", "two"]);
  now += 120_000;
  expect(await inUse(new Pod())).toEqual(["one", "two"]);
  await two.report({ node: "conn-1", leaving: true, ...bound("one") });
  expect(await inUse(one)).toEqual(["two"]);
});

test("more nodes than one query reads are all asked for their credentials", async () => {
  const pod = new Pod();
  for (let n = 0; n < 45; n++) pod.hear({ node: `conn-${n}`, ...bound(`credential-${n}`) });
  await vi.waitFor(() => expect(pod.fleet.unsaved()).toEqual([]));
  expect(await credentialsInUse(database.db, new Pod().fleet)).toHaveProperty("size", 45);
  const other = new Pod();
  expect(await other.shown()).toHaveLength(45);
});
