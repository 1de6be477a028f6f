// Longer than 250 lines because the four plans are tested on the same operators, side by side.
import { create, equals, type JsonObject } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  ChangeAdminStateRequestSchema,
  CreateOperatorRequestSchema,
  DeleteOperatorRequestSchema,
  UpdateOperatorRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { describe, expect, test } from "vitest";
import { etagOf } from "../../src/operators/canonical.ts";
import { planAdminState } from "../../src/operators/plan-admin-state.ts";
import { planCreate } from "../../src/operators/plan-create.ts";
import { planDelete } from "../../src/operators/plan-delete.ts";
import { planUpdate } from "../../src/operators/plan-update.ts";
import { changesOf, type Plan } from "../../src/operators/plan.ts";
import { boundOperator, context, failureOf, later, maskOf, operatorOf, ready, storedOperator } from "./operators.ts";

const { DRAFT, TESTING, ENABLED, DRAINING, MAINTENANCE, DISABLED } = AdminState;
const afterwards = { ...context, now: later };

function createWith(json: JsonObject, operatorId = "acme", existing?: Operator): Plan {
  const request = create(CreateOperatorRequestSchema, { operatorId, operator: operatorOf(json), reason: "new" });
  return planCreate(request, existing, "uid-1", context);
}

function update(stored: Operator | undefined, json: JsonObject, mask = "", etag = ""): Plan {
  const updateMask = { paths: maskOf(mask) };
  const request = { operatorId: "acme", operator: operatorOf(json), updateMask, etag, reason: "because" };
  return planUpdate(create(UpdateOperatorRequestSchema, request), stored, afterwards);
}

function move(stored: Operator, target: AdminState, connectionId = "", etag = ""): Plan {
  const request = { operatorId: "acme", connectionId, target, etag, reason: "planned" };
  return planAdminState(create(ChangeAdminStateRequestSchema, request), stored, afterwards);
}

function remove(stored: Operator | undefined, etag = ""): Plan {
  return planDelete(create(DeleteOperatorRequestSchema, { operatorId: "acme", etag }), stored, afterwards);
}

const main = { connections: { main: ready() } };

describe("to create an operator", () => {
  test("puts it and its connections into DRAFT, with defaults, times and an etag", () => {
    const { after, before, kind, diff } = createWith({ displayName: "Acme", ...main });
    expect({ before, kind }).toEqual({ before: undefined, kind: ChangeKind.CREATED });
    expect(after).toMatchObject({
      id: "acme",
      uid: "uid-1",
      adminState: DRAFT,
      adminStateReason: "new",
      adminStateActor: context.actor,
      createTime: context.now,
      updateTime: context.now,
      etag: etagOf(after),
      connections: { main: { adminState: DRAFT, effectiveState: DRAFT, priority: 100 } },
    });
    expect(diff.map(({ path }) => path)).toEqual(expect.arrayContaining(["display_name", "connections.main"]));
  });

  test("ignores output-only fields", () => {
    const { after } = createWith({
      uid: "forged",
      adminState: "ADMIN_STATE_ENABLED",
      connections: { main: { credential: { active: { id: "x" } } } },
    });
    expect(after).toMatchObject({ uid: "uid-1", adminState: DRAFT });
    expect(after.connections["main"]?.credential).toBeUndefined();
  });

  test("does not change what was sent", () => {
    const operator = operatorOf(main);
    planCreate(create(CreateOperatorRequestSchema, { operatorId: "acme", operator }), undefined, "uid-1", context);
    expect(equals(OperatorSchema, operator, operatorOf(main))).toBe(true);
  });

  test("fails for an id that is taken, also by a deleted operator", () => {
    const stored = storedOperator({});
    expect(failureOf(() => createWith({}, "acme", stored))).toMatchObject({
      reason: ErrorReason.OPERATOR_EXISTS,
      metadata: { operator_id: "acme" },
    });
    const failure = failureOf(() => createWith({}, "acme", remove(stored).after));
    expect(failure.metadata).toMatchObject({
      delete_time: "2026-03-01T12:01:00.000Z",
      purge_time: "2026-03-31T12:01:00.000Z",
    });
  });

  test.each<[string, JsonObject, string]>([
    ["another id inside", { id: "other" }, "operator.id"],
    [
      "a number out of range",
      { connections: { main: { throughput: { window: 2000 } } } },
      "connections.main.throughput.window",
    ],
    [
      "an MNC without its leading zero",
      { connections: { main: { coverage: [{ mccmnc: "2621" }] } } },
      "connections.main.coverage[0].mccmnc",
    ],
    [
      "port 0",
      { connections: { main: { endpoints: { a: { host: "a.example", port: 0 } } } } },
      "connections.main.endpoints.a.port",
    ],
    [
      "receipts for a connection that isn't there",
      { connections: { rx: { receivesFor: ["main"] } } },
      "connections.rx.receives_for[0]",
    ],
    ["receipts for itself", { connections: { rx: { receivesFor: ["rx"] } } }, "connections.rx.receives_for[0]"],
    [
      "receipts for what objects inherit",
      { connections: { rx: { receivesFor: ["constructor"] } } },
      "connections.rx.receives_for[0]",
    ],
    [
      "a time zone that isn't one",
      { connections: { main: { receipts: { timeZone: "Europe/Berln" } } } },
      "connections.main.receipts.time_zone",
    ],
    [
      "a window's time zone that isn't one",
      {
        maintenanceWindows: [
          { id: "w", start: "2026-01-01T00:00:00Z", rrule: "FREQ=DAILY", duration: "60s", timeZone: "Mars" },
        ],
      },
      "maintenance_windows[0].time_zone",
    ],
  ])("fails with %s", (_, json, field) => {
    const failure = failureOf(() => createWith(json));
    expect(failure.reason).toBe(ErrorReason.FIELD_INVALID);
    expect(Object.keys(failure.violations)).toEqual([field]);
  });
});

describe("to update an operator", () => {
  const stored = storedOperator({ displayName: "Acme", ...main });

  test("stores the merge, sealed, and tells what changed", () => {
    const plan = update(
      stored,
      { connections: { main: { throughput: { window: 20 } } } },
      "connections.main.throughput.window",
    );
    expect(plan.after).toMatchObject({ etag: etagOf(plan.after), updateTime: later, createTime: context.now });
    expect(plan.after.etag).not.toBe(stored.etag);
    expect(plan.diff).toMatchObject([
      { path: "connections.main.throughput.window", oldValue: "10", newValue: "20", rebind: false },
    ]);
    expect(changesOf(plan)).toEqual([plan]);
  });

  test("marks what needs a re-bind", () => {
    const { diff } = update(stored, { connections: { main: { endpoints: { a: { host: "b.example" } } } } });
    expect(diff).toMatchObject([{ path: "connections.main.endpoints.a.host", rebind: true }]);
  });

  test("with nothing new makes no change", () => {
    for (const plan of [
      update(stored, {}),
      update(stored, { displayName: "Acme" }, "displayName"),
      update(stored, main),
    ]) {
      expect(plan.after).toBe(stored);
      expect(changesOf(plan)).toEqual([]);
    }
  });

  test("fills in the default of a field that is cleared", () => {
    const changed = update(stored, { connections: { main: { timers: { missed: 9 } } } }).after;
    const cleared = update(changed, {}, "connections.main.timers").after;
    expect(cleared.connections["main"]?.timers?.missed).toBe(3);
    expect(cleared.etag).toBe(stored.etag);
  });

  test("starts a new connection in DRAFT and leaves the others as they are", () => {
    const enabled = boundOperator(main);
    const { connections } = update(enabled, { connections: { next: ready() } }).after;
    expect(connections["next"]).toMatchObject({
      adminState: DRAFT,
      effectiveState: DRAFT,
      adminStateReason: "because",
    });
    expect(connections["main"]).toMatchObject({ adminState: ENABLED, effectiveState: ENABLED });
  });

  test("keeps states, credentials and times of a connection that is replaced", () => {
    const enabled = boundOperator(main);
    const after = update(enabled, { connections: { main: ready({ notes: "x" }) } }, "*").after;
    const [was, is] = [enabled.connections["main"]!, after.connections["main"]!];
    expect(is.notes).toBe("x");
    expect(is.credential).toEqual(was.credential);
    expect(is.adminStateTime).toEqual(was.adminStateTime);
  });

  test.each([TESTING, ENABLED, DRAINING, MAINTENANCE])("can't remove a connection in state %i", (state) => {
    const bound = boundOperator(main, state);
    for (const mask of ["connections.main", "connections", "*"]) {
      expect(failureOf(() => update(bound, {}, mask))).toMatchObject({
        reason: ErrorReason.CONNECTION_NOT_DISABLED,
        metadata: { connection_id: "main" },
      });
    }
  });

  test.each([DRAFT, DISABLED])("removes a connection in state %i", (state) => {
    expect(update(boundOperator(main, state), {}, "connections.main").after.connections).toEqual({});
  });

  test.each([["connections.main.endpoints"], ["connections.main.endpoints.a"], ["connections.main.throughput"]])(
    "can't take %s from a connection that is bound",
    (mask) => {
      expect(failureOf(() => update(boundOperator(main), {}, mask)).reason).toBe(ErrorReason.FIELD_INVALID);
      expect(update(boundOperator(main, DISABLED), {}, mask).diff).not.toEqual([]);
    },
  );

  test("validates the merged operator, not what is sent", () => {
    const limited = storedOperator({ connections: { main: ready({ maxBinds: 2 }) } });
    expect(
      failureOf(() => update(limited, { connections: { main: { binds: [{ role: "BIND_ROLE_TRX", count: 3 }] } } }))
        .reason,
    ).toBe(ErrorReason.FIELD_INVALID);
  });

  test("checks the etag before all else, and gives the current one", () => {
    expect(() => update(stored, { notes: "x" }, "", stored.etag)).not.toThrow();
    const failure = failureOf(() => update(stored, { notes: "x" }, "nonsense", "f".repeat(32)));
    expect(failure).toMatchObject({ reason: ErrorReason.ETAG_MISMATCH, metadata: { etag: stored.etag } });
  });

  test("has its etag from the configuration alone: a move of state between doesn't abort it", () => {
    const moved = move(boundOperator(main, DISABLED), ENABLED).after;
    expect(moved.etag).toBe(boundOperator(main).etag);
    expect(() => update(moved, { notes: "x" }, "", boundOperator(main).etag)).not.toThrow();
  });
});

describe("an operator that isn't there", () => {
  const deleted = remove(storedOperator({})).after;
  const calls: [string, (stored: Operator | undefined) => Plan][] = [
    ["updated", (stored) => update(stored, {})],
    ["deleted", (stored) => remove(stored)],
    [
      "moved",
      (stored) =>
        planAdminState(create(ChangeAdminStateRequestSchema, { operatorId: "acme", target: ENABLED }), stored, context),
    ],
  ];
  test.each(calls)("can't be %s", (_, call) => {
    expect(failureOf(() => call(undefined))).toMatchObject({
      reason: ErrorReason.OPERATOR_NOT_FOUND,
      metadata: { operator_id: "acme" },
    });
    expect(failureOf(() => call(deleted))).toMatchObject({
      reason: ErrorReason.OPERATOR_NOT_FOUND,
      metadata: { delete_time: "2026-03-01T12:01:00.000Z" },
    });
  });
});

describe("to delete an operator", () => {
  test.each([DRAFT, DISABLED])("in state %i keeps it for 30 days", (state) => {
    const { after, kind, diff } = remove(boundOperator(main, state));
    expect(kind).toBe(ChangeKind.DELETED);
    expect(after.deleteTime).toEqual(later);
    expect(after.purgeTime?.seconds).toBe(later.seconds + 2_592_000n);
    expect(after.adminState).toBe(state);
    expect(diff.map(({ path }) => path)).toEqual(["delete_time", "purge_time"]);
  });

  test.each([TESTING, ENABLED, DRAINING, MAINTENANCE])("in state %i is refused", (state) => {
    expect(failureOf(() => remove(boundOperator(main, state)))).toMatchObject({
      reason: ErrorReason.ILLEGAL_STATE_TRANSITION,
      metadata: { to: "DELETED" },
    });
  });

  test("checks the etag", () => {
    expect(failureOf(() => remove(storedOperator({}), "f".repeat(32))).reason).toBe(ErrorReason.ETAG_MISMATCH);
  });
});

describe("to move an admin state", () => {
  test("of the operator caps its connections, and tells who, when and why", () => {
    const { after, kind, diff } = move(boundOperator(main), MAINTENANCE);
    expect(kind).toBe(ChangeKind.ADMIN_STATE);
    expect(after).toMatchObject({
      adminState: MAINTENANCE,
      adminStateReason: "planned",
      adminStateTime: later,
      adminStateActor: context.actor,
      keepBinds: true,
      connections: { main: { adminState: ENABLED, effectiveState: MAINTENANCE } },
    });
    expect(diff.map(({ path }) => path)).toEqual(["connections.main.effective_state", "admin_state", "keep_binds"]);
  });

  test("of a connection leaves the operator alone", () => {
    const { after } = move(boundOperator(main), DRAINING, "main");
    expect(after).toMatchObject({
      adminState: ENABLED,
      connections: { main: { adminState: DRAINING, effectiveState: DRAINING } },
    });
  });

  test("to where it is already does nothing", () => {
    const stored = boundOperator(main);
    for (const plan of [move(stored, ENABLED), move(stored, ENABLED, "main")]) expect(changesOf(plan)).toEqual([]);
  });

  test("that isn't legal is refused, for both axes", () => {
    const stored = storedOperator(main);
    for (const connection of ["", "main"]) {
      expect(failureOf(() => move(stored, DRAINING, connection)).text).toBe(
        "DRAFT cannot become DRAINING; possible: TESTING, ENABLED",
      );
    }
  });

  test("checks the etag", () => {
    expect(failureOf(() => move(boundOperator(main), DISABLED, "", "f".repeat(32))).reason).toBe(
      ErrorReason.ETAG_MISMATCH,
    );
  });

  test.each(["other", "constructor", "toString"])("of connection %s, which isn't there, is refused", (id) => {
    expect(failureOf(() => move(boundOperator(main), DISABLED, id))).toMatchObject({
      reason: ErrorReason.CONNECTION_NOT_FOUND,
      metadata: { connection_id: id },
    });
  });

  test("out of DRAFT needs a connection", () => {
    expect(failureOf(() => move(storedOperator({}), ENABLED))).toMatchObject({
      reason: ErrorReason.FIELD_INVALID,
      violations: { connections: expect.any(String) as string },
    });
    expect(() => move(storedOperator(main), ENABLED)).not.toThrow();
  });

  test.each([TESTING, ENABLED])("of a connection to %i lists all that it lacks", (target) => {
    const failure = failureOf(() => move(storedOperator({ connections: { main: {} } }), target, "main"));
    expect(failure.reason).toBe(ErrorReason.FIELD_INVALID);
    expect(Object.keys(failure.violations)).toEqual([
      "connections.main.endpoints",
      "connections.main.throughput.max_segments_per_second",
      "connections.main.credential",
    ]);
  });

  test("of a connection without a credential is CREDENTIAL_MISSING", () => {
    expect(failureOf(() => move(storedOperator(main), ENABLED, "main"))).toMatchObject({
      reason: ErrorReason.CREDENTIAL_MISSING,
      metadata: { connection_id: "main" },
    });
  });

  test.each([DISABLED, MAINTENANCE, TESTING])("of a connection from %i to ENABLED checks again", (state) => {
    const stored = boundOperator(main, state);
    delete stored.connections["main"]!.credential;
    expect(failureOf(() => move(stored, ENABLED, "main")).reason).toBe(ErrorReason.CREDENTIAL_MISSING);
  });

  test("of a connection under an operator in DRAFT says that it stays unbound", () => {
    const stored = boundOperator(main, DRAFT);
    expect(move(stored, ENABLED, "main").warnings).toMatchObject([
      { path: "connections.main.admin_state", text: expect.stringMatching(/stays DRAFT/) as string },
      { path: "connections.main.coverage" },
    ]);
    expect(move(stored, ENABLED).warnings).toMatchObject([{ path: "connections" }]);
  });
});
