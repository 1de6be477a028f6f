import { create, type Message } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { EndpointPolicy } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import {
  ChangeAdminStateRequestSchema,
  CreateOperatorRequestSchema,
  DeleteOperatorRequestSchema,
  UpdateOperatorRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, test } from "vitest";
import { copyOf } from "../../src/operators/canonical.ts";
import { planAdminState } from "../../src/operators/plan-admin-state.ts";
import { planCreate } from "../../src/operators/plan-create.ts";
import { planDelete } from "../../src/operators/plan-delete.ts";
import { planUpdate } from "../../src/operators/plan-update.ts";
import { context, failureOf, operatorOf, ready, storedOperator } from "./operators.ts";

const main = ready({
  timers: { missed: 2 },
  coverage: [{ mccmnc: "26201" }, { mccmnc: "26202" }],
  binds: [
    { role: "BIND_ROLE_TX", count: 1 },
    { role: "BIND_ROLE_RX", count: 1 },
  ],
});

const mark = (message: Message, value: number): void => {
  message.$unknown = [{ no: 9000, wireType: 0, data: new Uint8Array([value]) }];
};
const markOf = (message: Message | undefined): number | undefined => message?.$unknown?.[0]?.data[0];
const mainOf = (operator: Operator): Connection => operator.connections["main"]!;

/** As a newer version stored it: with fields that this one doesn't know, in every kind of place. */
function newer(): Operator {
  const operator = storedOperator({ connections: { main } });
  const connection = mainOf(operator);
  mark(operator, 1);
  mark(connection, 2);
  mark(connection.timers!, 3);
  mark(connection.endpoints["a"]!, 4);
  mark(connection.coverage[1]!, 5);
  mark(connection.binds[0]!, 6);
  return operator;
}

const update = (operator: Operator, paths: string[], stored = newer()): Operator =>
  planUpdate(
    create(UpdateOperatorRequestSchema, { operatorId: "acme", operator, updateMask: { paths } }),
    stored,
    context,
  ).after;

describe("fields of a newer version", () => {
  const given = operatorOf({ notes: "x", connections: { main: { ...main, notes: "x" } } });

  test.each([[["*"]], [["connections"]], [["connections.main"]], [[]], [["connections.main.notes"]]])(
    "stay with mask %j",
    (mask) => {
      const after = update(given, mask);
      const connection = mainOf(after);
      expect(connection.notes).toBe("x");
      const marked = [
        after,
        connection,
        connection.timers,
        connection.endpoints["a"],
        connection.coverage[1],
        connection.binds[0],
      ];
      expect(marked.map(markOf)).toEqual([1, 2, 3, 4, 5, 6]);
    },
  );

  test("stay with a list's item that moves, and with one that keeps its name", () => {
    const json = {
      ...main,
      coverage: [{ mccmnc: "26202" }, { any: true }],
      binds: [{ role: "BIND_ROLE_TX", count: 4 }],
    };
    const { coverage, binds } = mainOf(update(operatorOf({ connections: { main: json } }), ["connections.main"]));
    expect(coverage.map(markOf)).toEqual([5, undefined]);
    expect(binds.map(markOf)).toEqual([6]);
  });

  test("go with what is removed", () => {
    const { coverage } = mainOf(
      update(operatorOf({ connections: { main: { coverage: [{ any: true }] } } }), ["connections.main.coverage"]),
    );
    expect(coverage.map(markOf)).toEqual([undefined]);
  });

  test("may be sent back as they were read", () => {
    const sent = copyOf(newer());
    mainOf(sent).notes = "x";
    mainOf(sent).coverage.reverse();
    expect(mainOf(update(sent, ["*"])).coverage.map(markOf)).toEqual([5, undefined]);
  });

  test.each<[string, (operator: Operator) => Message]>([
    ["operator", (o) => o],
    ["connections.main", mainOf],
    ["connections.main.timers", (o) => mainOf(o).timers!],
    ["connections.main.coverage[0]", (o) => mainOf(o).coverage[0]!],
  ])("of a newer client, inside %s, are refused rather than lost", (field, place) => {
    const sent = newer();
    mark(place(sent), 99);
    expect(failureOf(() => update(sent, ["*"]))).toMatchObject({
      reason: ErrorReason.NEWER_SCHEMA,
      metadata: { field },
    });
    const request = create(CreateOperatorRequestSchema, { operatorId: "acme", operator: sent });
    expect(failureOf(() => planCreate(request, undefined, "uid", context)).reason).toBe(ErrorReason.NEWER_SCHEMA);
  });
});

describe("an enum value of a newer version", () => {
  const stored = storedOperator({ connections: { main } });
  mainOf(stored).endpointPolicy = 99 as EndpointPolicy;
  const calls: [string, () => unknown][] = [
    ["update", () => update(operatorOf({ notes: "x" }), [], stored)],
    ["delete", () => planDelete(create(DeleteOperatorRequestSchema, { operatorId: "acme" }), stored, context)],
    [
      "move",
      () =>
        planAdminState(
          create(ChangeAdminStateRequestSchema, { operatorId: "acme", target: AdminState.ENABLED }),
          stored,
          context,
        ),
    ],
  ];
  test.each(calls)("makes the operator read-only: no %s", (_, call) => {
    expect(failureOf(call)).toMatchObject({
      reason: ErrorReason.NEWER_SCHEMA,
      metadata: { field: "connections.main.endpoint_policy" },
    });
  });

  test("that is sent is refused alike", () => {
    const failure = failureOf(() => update(operatorOf({ kind: 9 }), []));
    expect(failure).toMatchObject({ reason: ErrorReason.NEWER_SCHEMA, metadata: { field: "kind" } });
  });
});

describe("a value that only a newer version allows", () => {
  const stored = newer();
  mainOf(stored).throughput!.window = 5_000;

  test("refuses an update that leaves it there", () => {
    const failure = failureOf(() => update(operatorOf({ notes: "x" }), [], stored));
    expect(failure).toMatchObject({
      reason: ErrorReason.NEWER_SCHEMA,
      metadata: { field: "connections.main.throughput.window" },
    });
  });

  test("is not blamed for another mistake, and may be corrected", () => {
    expect(failureOf(() => update(operatorOf({ displayName: "x".repeat(121) }), [], stored)).violations).toEqual({
      display_name: expect.any(String) as string,
    });
    const corrected = operatorOf({ connections: { main: { throughput: { window: 50 } } } });
    expect(mainOf(update(corrected, [], stored)).throughput?.window).toBe(50);
  });
});
