import { fromJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { WatchHealthResponse } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reasonOf } from "../../src/rpc/errors.ts";
import { until } from "../cluster/until.ts";
import { startTestService, type TestService } from "../harness/service.ts";
import { reportOf } from "./support/health-pods.ts";

const { UNKNOWN, UP, DOWN } = OperationalState;
let service: TestService;

beforeAll(async () => {
  service = await startTestService();
}, 60_000);
afterAll(() => service[Symbol.asyncDispose]());

/** An enabled operator whose `main` wants two binds. */
async function enabledOperator(operatorId: string): Promise<Operator> {
  const { admin } = service;
  const connection = {
    endpoints: { a: { host: "smpp.example", port: 2775 } },
    binds: [{ role: "BIND_ROLE_TRX", count: 2 }],
    throughput: { maxSegmentsPerSecond: 50 },
    coverage: [{ mccmnc: "26201" }],
  };
  const operator = fromJson(OperatorSchema, { kind: "OPERATOR_KIND_AGGREGATOR", connections: { main: connection } });
  await admin.createOperator({ operatorId, operator });
  await admin.setConnectionCredential({ operatorId, connectionId: "main", systemId: "acme", password: "secret" });
  await admin.changeAdminState({ operatorId, connectionId: "main", target: AdminState.ENABLED });
  const { operator: changed } = await admin.changeAdminState({ operatorId, target: AdminState.ENABLED });
  return changed!;
}

/** A report with the credential that the operator's connection has. */
function report(operator: Operator, node: string, bound: number) {
  const of = reportOf(operator, node, bound);
  for (const bind of of.binds) bind.credentialId = operator.connections["main"]!.credential!.active!.id;
  return of;
}

async function stateOf(operator: Operator): Promise<OperationalState | undefined> {
  const { operators } = await service.mesh.getHealth({ operatorIds: [operator.id] });
  return operators[0]?.connections["main"]?.state;
}

describe("ReportHealth and GetHealth", () => {
  test("a link is UNKNOWN until a node reports it, then what the report says", async () => {
    const operator = await enabledOperator("told");
    expect(await stateOf(operator)).toBe(UNKNOWN);
    const { dropped } = await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 2)] });
    expect(dropped).toEqual([]);
    await until("it is UP", async () => (await stateOf(operator)) === UP);
    const { operators } = await service.admin.getHealth({ operatorIds: [operator.id], includeObservers: true });
    expect(operators[0]!.connections["main"]).toMatchObject({
      bindsWanted: 2,
      bindsBound: 2,
      transmittersBound: 2,
      receiversBound: 2,
      holders: ["conn-1"],
      observers: [{ node: "conn-1", state: UP }],
    });
  });

  test("observers are left out unless asked for", async () => {
    const operator = await enabledOperator("brief");
    await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 2)] });
    await until("it is UP", async () => (await stateOf(operator)) === UP);
    const { operators } = await service.mesh.getHealth({ operatorIds: [operator.id] });
    expect(operators[0]!.connections["main"]!.observers).toEqual([]);
  });

  test("a route says how its link is, and when that was heard", async () => {
    const operator = await enabledOperator("routed");
    const before = Date.now();
    await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 2)] });
    await until("it is UP", async () => (await stateOf(operator)) === UP);
    const { results } = await service.mesh.resolveRoutes({ queries: [{ network: "26201" }] });
    const route = results[0]!.routes.find(({ operatorId }) => operatorId === operator.id);
    expect(route).toMatchObject({ state: UP, class: 0, holders: ["conn-1"] });
    expect(route?.observedTime && timestampMs(route.observedTime)).toBeGreaterThanOrEqual(before);
  });

  test("reports of links that don't exist are dropped and named, the others taken", async () => {
    const operator = await enabledOperator("mixed");
    const strange = { ...report(operator, "conn-1", 2), operatorUid: crypto.randomUUID() };
    const other = { ...report(operator, "conn-1", 2), connectionId: "backup" };
    const reply = await service.mesh.reportHealth({ reports: [strange, report(operator, "conn-1", 2), other] });
    expect(reply.dropped).toEqual([0, 2]);
    await until("it is UP", async () => (await stateOf(operator)) === UP);
  });

  test("ids that name no operator are listed, and are no error", async () => {
    const { operators, notFoundIds } = await service.mesh.getHealth({ operatorIds: ["nobody"] });
    expect(operators).toEqual([]);
    expect(notFoundIds).toEqual(["nobody"]);
  });

  test("pages go through all operators once, in order", async () => {
    for (const id of ["page-a", "page-b", "page-c"]) await enabledOperator(id);
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await service.admin.getHealth({ pageSize: 2, pageToken });
      ids.push(...page.operators.map(({ operatorId }) => operatorId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(expect.arrayContaining(["page-a", "page-b", "page-c"]));
  });

  test("a page token of another call is refused", async () => {
    const { nextPageToken } = await service.admin.getHealth({ pageSize: 1 });
    const call = service.admin.getHealth({ pageSize: 1, pageToken: nextPageToken, includeObservers: true });
    await expect(call.catch(reasonOf)).resolves.toBe(ErrorReason.PAGE_TOKEN_INVALID);
  });
});

describe("ListHealthTransitions", () => {
  test("tells what a link went through, newest first, and a page at a time", async () => {
    const operator = await enabledOperator("moved");
    const list = (more = {}) => service.admin.listHealthTransitions({ operatorId: operator.id, ...more });
    const count = async () => (await list()).transitions.length;
    await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 2)] });
    await until("UP is stored", async () => (await count()) === 1);
    await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 0)] });
    await until("DOWN is stored", async () => (await count()) === 2);
    const { transitions } = await list();
    expect(transitions).toMatchObject([
      { from: UP, to: DOWN, connectionId: "main" },
      { from: UNKNOWN, to: UP, connectionId: "main" },
    ]);
    const first = await list({ pageSize: 1 });
    const second = await list({ pageSize: 1, pageToken: first.nextPageToken });
    expect([...first.transitions, ...second.transitions]).toEqual(transitions);
    expect(second.nextPageToken).toBe("");
    const since = timestampFromDate(new Date(timestampDate(transitions[0]!.time!).getTime()));
    expect((await list({ startTime: since })).transitions).toEqual([transitions[0]]);
    expect((await list({ endTime: since })).transitions).toEqual([transitions[1]]);
    expect((await list({ connectionId: "backup" })).transitions).toEqual([]);
  });
});

describe("WatchHealth", () => {
  async function* watch(operatorIds: string[]): AsyncGenerator<WatchHealthResponse> {
    const stop = new AbortController();
    try {
      yield* service.mesh.watchHealth({ operatorIds, heartbeatInterval: { seconds: 1n } }, { signal: stop.signal });
    } finally {
      stop.abort();
    }
  }

  test("begins with what is, says when that is complete, and goes on with what changes", async () => {
    const operator = await enabledOperator("watched");
    const states: (OperationalState | undefined)[] = [];
    let complete = 0;
    for await (const { links, initialComplete } of watch([operator.id])) {
      for (const { health } of links) states.push(health?.state);
      if (initialComplete) {
        complete++;
        expect(states).toEqual([UNKNOWN]);
        await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 2)] });
      }
      if (states.at(-1) === UP) await service.mesh.reportHealth({ reports: [report(operator, "conn-1", 0)] });
      if (states.at(-1) === DOWN) break;
    }
    expect(complete).toBe(1);
    expect(new Set(states)).toEqual(new Set([UNKNOWN, UP, DOWN]));
  });

  test("gives a sign of life while nothing happens", async () => {
    const operator = await enabledOperator("quiet");
    let silent = 0;
    for await (const { links, initialComplete } of watch([operator.id])) {
      if (links.length === 0 && !initialComplete && ++silent === 2) break;
    }
    expect(silent).toBe(2);
  });

  test("tells that a link is gone", async () => {
    const operator = await enabledOperator("gone");
    for await (const { links, initialComplete } of watch([operator.id])) {
      if (initialComplete) {
        await service.admin.changeAdminState({ operatorId: operator.id, target: AdminState.DISABLED, force: true });
        await service.admin.deleteOperator({ operatorId: operator.id, force: true });
      }
      const last = links.at(-1);
      if (last !== undefined && last.health === undefined) {
        expect(last).toMatchObject({ operatorId: operator.id, connectionId: "main" });
        break;
      }
    }
  });

  test("tells only of the operators that were asked for", async () => {
    const [mine, other] = [await enabledOperator("mine"), await enabledOperator("other")];
    const seen = new Set<string>();
    for await (const { links, initialComplete } of watch([mine.id])) {
      for (const { operatorId } of links) seen.add(operatorId);
      if (initialComplete) {
        await service.mesh.reportHealth({ reports: [report(other, "conn-1", 2)] });
        await service.mesh.reportHealth({ reports: [report(mine, "conn-1", 2)] });
      }
      if (links.some(({ health }) => health?.state === UP)) break;
    }
    expect([...seen]).toEqual([mine.id]);
  });
});

test("the metrics count links by state", async () => {
  const text = await (await fetch(`${service.metricsUrl}/metrics`)).text();
  expect(text).toMatch(/^ops_links\{state="UP"\} \d+$/m);
  expect(text).toMatch(/^ops_health_reports \d+$/m);
});
