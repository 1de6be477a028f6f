import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { encodeToken, type Position } from "@operator-management/client";
import { Actor_Kind, ActorSchema, ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  OperatorService,
  ReportNodeStatusRequestSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { OpenDatabase } from "../../src/db/db.ts";
import { nodeStatus } from "../../src/db/schema.ts";
import { FleetRecorder } from "../../src/fleet/fleet-recorder.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { fleetStatusHandlers, nodeReportHandlers } from "../../src/fleet/handlers.ts";
import { callerKey, type Caller } from "../../src/rpc/caller.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { openPreparedDatabase } from "../harness/prepared-postgres.ts";

const position: Position = { store: new Uint8Array(16).fill(1), revision: 7n, fingerprint: new Uint8Array(32).fill(7) };
const applied = encodeToken({ ...position, revision: 5n });
let database: OpenDatabase;
let now = Date.now();
const clock = (): Date => new Date(now);
const warnings: string[] = [];
const logger = { warn: (_details: object, text: string) => void warnings.push(text) } as never;

beforeAll(async () => {
  database = await openPreparedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  now = Date.now();
  warnings.length = 0;
  await database.db.delete(nodeStatus);
});

/** One run of the service's fleet part. */
async function startFleet() {
  const fleet = new Fleet(clock);
  const recorder = new FleetRecorder({ db: database.db, fleet, logger, now: clock, intervalMs: 5, patienceMs: 10_000 });
  await recorder.refresh();
  const deps = { fleet, recorder, catalog: { position }, logger, now: clock };
  const clientOf = (...namespaces: string[]) => {
    const transport = createRouterTransport(
      ({ service }) => {
        service(OperatorService, nodeReportHandlers(deps));
        service(OperatorAdminService, fleetStatusHandlers(deps));
      },
      {
        router: {
          interceptors: [
            (next) => (request) => {
              const actor = create(ActorSchema, { principal: "p", kind: Actor_Kind.WORKLOAD });
              const caller: Caller = { actor, roles: new Set(), namespaces: new Set(namespaces) };
              request.contextValues.set(callerKey, caller);
              return next(request);
            },
          ],
        },
      },
    );
    return { ...createClient(OperatorService, transport), ...createClient(OperatorAdminService, transport) };
  };
  return {
    recorder,
    fleet,
    connector: clientOf("smpp-connector"),
    local: clientOf("routing-engine", "smpp-connector"),
  };
}

const rows = () => database.db.select().from(nodeStatus);

describe("ReportNodeStatus", () => {
  test("answers with the server's position and when to report again", async () => {
    const { connector, recorder } = await startFleet();
    const reply = await connector.reportNodeStatus({ node: "conn-1", epoch: 1n, appliedToken: applied });
    expect(reply).toMatchObject({ token: encodeToken(position), reportInterval: { seconds: 5n } });
    await recorder.close();
  });

  test("shows in GetFleetStatus at once, with its lag", async () => {
    const { connector, recorder } = await startFleet();
    await connector.reportNodeStatus({ node: "conn-1", epoch: 1n, appliedToken: applied, accepting: true });
    const { nodes, token } = await connector.getFleetStatus({});
    expect(token).toBe(encodeToken(position));
    expect(nodes).toMatchObject([
      { node: "conn-1", namespace: "smpp-connector", appliedToken: applied, revisionsBehind: 2, accepting: true },
    ]);
    await recorder.close();
  });

  test("takes a local caller, who holds every namespace, for a connector", async () => {
    const { local, recorder } = await startFleet();
    await local.reportNodeStatus({ node: "conn-1", epoch: 1n });
    expect((await local.getFleetStatus({})).nodes).toMatchObject([{ namespace: "smpp-connector", revisionsBehind: 7 }]);
    await recorder.close();
  });

  test.each([
    ["an undecodable token", { appliedToken: "nonsense" }, ErrorReason.FIELD_INVALID, "applied_token"],
    [
      "an undecodable token of a refusal",
      { rejected: [{ token: "x" }] },
      ErrorReason.FIELD_INVALID,
      "rejected[0].token",
    ],
    ["another store's token", { appliedToken: foreign() }, ErrorReason.TOKEN_FOREIGN, "another store"],
    ["an epoch that the database can't hold", { epoch: 2n ** 63n }, ErrorReason.FIELD_INVALID, "epoch"],
  ])("refuses %s, and the node doesn't count", async (_, init, reason, text) => {
    const { connector, recorder } = await startFleet();
    const call = connector.reportNodeStatus({ node: "conn-1", epoch: 1n, ...init });
    await expect(call).rejects.toThrow(text);
    expect(await call.catch(reasonOf)).toBe(reason);
    expect((await connector.getFleetStatus({})).nodes).toEqual([]);
    await recorder.close();
  });

  test("never fails because the database does, and is stored once it is back", async () => {
    const { connector, recorder } = await startFleet();
    await database.db.execute(sql`alter table node_status rename to node_status_away`);
    await connector.reportNodeStatus({ node: "conn-1", epoch: 1n });
    await vi.waitFor(() => expect(warnings).toEqual(["node reports stay in memory: storing them failed"]));
    await connector.reportNodeStatus({ node: "conn-1", epoch: 2n });
    await database.db.execute(sql`alter table node_status_away rename to node_status`);
    await vi.waitFor(async () => expect((await rows()).map(({ epoch }) => epoch)).toEqual([2n]));
    expect(warnings).toHaveLength(1);
    await recorder.close();
  });

  test("says in the log, once a minute, when there are more nodes than are kept", async () => {
    const { connector, recorder, fleet } = await startFleet();
    for (let n = 0; n < 1_000; n++) {
      fleet.report(
        "routing-engine",
        create(ReportNodeStatusRequestSchema, { node: `n${n}`, leaving: true }),
        undefined,
      );
    }
    for (let n = 0; n < 3; n++) await connector.reportNodeStatus({ node: `n${n}`, epoch: 1n });
    expect(warnings).toHaveLength(1);
    now += 60_000;
    await connector.reportNodeStatus({ node: "n1", epoch: 1n });
    expect(warnings).toHaveLength(2);
    await recorder.close();
  });
});

describe("a restarted service", () => {
  test("shows the fleet as it was, until a node is silent for a minute", async () => {
    const first = await startFleet();
    const rejected = [{ operatorId: "acme", connectionId: "main", error: "no such egress" }];
    await first.connector.reportNodeStatus({ node: "conn-1", epoch: 3n, appliedToken: applied, rejected });
    const { nodes } = await first.connector.getFleetStatus({});
    await first.recorder.close();

    const second = await startFleet();
    expect((await second.connector.getFleetStatus({})).nodes).toEqual(nodes);
    expect(second.fleet.summary(position)).toEqual({ nodes: 1, maxRevisionsBehind: 2, rejectedConnections: 1 });
    now += 60_001;
    expect((await second.connector.getFleetStatus({})).nodes).toEqual([]);
    await second.recorder.close();
  });

  test("has forgotten the nodes that left or were silent for long", async () => {
    const first = await startFleet();
    await first.connector.reportNodeStatus({ node: "left", epoch: 1n });
    await first.connector.reportNodeStatus({ node: "silent", epoch: 1n });
    await vi.waitFor(async () => expect(await rows()).toHaveLength(2));
    await first.connector.reportNodeStatus({ node: "left", epoch: 1n, leaving: true });
    await first.recorder.close();
    const second = await startFleet();
    expect((await second.connector.getFleetStatus({})).nodes.map(({ node }) => node)).toEqual(["silent"]);
    await second.recorder.close();
    now += 60_001;
    const third = await startFleet();
    expect((await third.connector.getFleetStatus({})).nodes).toEqual([]);
    expect(await rows(), "what it had bound may still be bound").toHaveLength(2);
    await third.recorder.close();
    now += 24 * 60 * 60_000;
    const fourth = await startFleet();
    expect(await rows()).toEqual([]);
    await fourth.recorder.close();
  });

  test("still ignores reports of an earlier run", async () => {
    const first = await startFleet();
    await first.connector.reportNodeStatus({ node: "conn-1", epoch: 3n });
    await first.recorder.close();
    const second = await startFleet();
    await second.connector.reportNodeStatus({ node: "conn-1", epoch: 2n });
    expect((await second.connector.getFleetStatus({})).nodes.map(({ epoch }) => epoch)).toEqual([3n]);
    await second.recorder.close();
  });
});

function foreign(): string {
  return encodeToken({ ...position, store: new Uint8Array(16).fill(9) });
}
