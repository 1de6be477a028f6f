import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { expect, test } from "vitest";
import type { Desired } from "../src/desired.ts";
import { reconcile, type ActualBind } from "../src/reconcile.ts";
import { connection, desired, uid } from "./harness.ts";

const { TRX, TX, RX } = BindRole;

/** A bound TRX bind of acme-de/main unless told otherwise. */
function bind(config: Connection, index = 0, overrides: Partial<ActualBind> = {}): ActualBind {
  const slot = { role: TRX, index };
  return {
    connectionKey: "acme-de/main",
    operatorUid: uid,
    slot,
    config,
    phase: "bound",
    rolling: false,
    credentialId: undefined,
    ...overrides,
  };
}

/** The decisions, short: `open TRX0`, `close TX1`, `rebind TRX0 host`, `apply TRX0 …`. */
function decide(wanted: Desired, actual: ActualBind[]): string[] {
  return reconcile(wanted, actual).map((action) => {
    const { role, index } = action.kind === "open" ? action.slot : action.bind.slot;
    const fields = "fields" in action ? ` ${action.fields.join(" ")}` : "";
    return `${action.kind} ${BindRole[role]}${index}${fields}`;
  });
}

const two = { binds: [{ role: TRX, count: 2 }] };
const old = connection(two);
const otherHost = connection({ ...two, endpoints: { primary: { host: "127.0.0.2", port: 2775 } } });
const faster = connection({ ...two, throughput: { maxSegmentsPerSecond: 80 } });
const disabled = connection({ ...two, effectiveState: AdminState.DISABLED });
const otherCredential = connection({
  ...two,
  credential: { active: { id: "8f14e45f-ceea-467f-a8c4-00000000000b", version: 1, systemId: "acme01" } },
});
const pair = connection({ binds: [{ role: TX }, { role: RX }] });
const tls = connection({ ...two, endpoints: { primary: { host: "127.0.0.1", port: 2775, tls: { mode: 2 } } } });

test.for<[behaviour: string, wanted: Connection | undefined, actual: ActualBind[], decisions: string[]]>([
  ["nothing is bound: all are opened", old, [], ["open TRX0", "open TRX1"]],
  ["all is as wanted: nothing is done", old, [bind(old), bind(old, 1)], []],
  ["a bind is missing: it alone is opened", old, [bind(old, 1)], ["open TRX0"]],
  ["the connection is gone: all are closed", undefined, [bind(old), bind(old, 1)], ["close TRX0", "close TRX1"]],
  ["it is DISABLED: all are closed", disabled, [bind(old), bind(old, 1)], ["close TRX0", "close TRX1"]],
  ["a closing bind is not closed twice", disabled, [bind(old, 0, { phase: "closing" })], []],
  [
    "fewer are wanted: the surplus is closed, the rest untouched",
    connection(),
    [bind(connection()), bind(old, 1)],
    ["close TRX1", "apply TRX0 "],
  ],
  ["other roles are wanted: what is there goes first", pair, [bind(old), bind(old, 1)], ["close TRX0", "close TRX1"]],
  ["and the new roles wait while it is closing", pair, [bind(old, 0, { phase: "closing" })], []],
  ["and come when it is gone", pair, [], ["open TX0", "open RX0"]],
  [
    "a rate is applied to live sessions",
    faster,
    [bind(old), bind(old, 1)],
    ["apply TRX0 throughput.max_segments_per_second", "apply TRX1 throughput.max_segments_per_second"],
  ],
  ["a host re-binds one bind at a time", otherHost, [bind(old), bind(old, 1)], ["rebind TRX0 endpoints.primary.host"]],
  [
    "the second waits while the first is not bound again",
    otherHost,
    [bind(otherHost, 0, { phase: "trying", rolling: true }), bind(old, 1)],
    [],
  ],
  [
    "the second's turn comes when the first is bound again",
    otherHost,
    [bind(otherHost), bind(old, 1)],
    ["rebind TRX1 endpoints.primary.host"],
  ],
  [
    "a bind that was down anyway waits for nobody and holds nobody up",
    otherHost,
    [bind(old, 0, { phase: "trying" }), bind(old, 1)],
    ["rebind TRX0 endpoints.primary.host", "rebind TRX1 endpoints.primary.host"],
  ],
  [
    "a mistaken host put back frees the bind that was lost to it",
    old,
    [bind(otherHost, 0, { phase: "trying", rolling: true }), bind(old, 1)],
    ["rebind TRX0 endpoints.primary.host"],
  ],
  [
    "a new credential leaves live sessions alone",
    otherCredential,
    [bind(old), bind(old, 1)],
    ["apply TRX0 credential.active.id", "apply TRX1 credential.active.id"],
  ],
  [
    "and is tried at once by a bind that is down",
    otherCredential,
    [bind(old, 0, { phase: "trying" }), bind(otherCredential, 1)],
    ["rebind TRX0 credential"],
  ],
  ["a configuration that can't be run changes nothing", tls, [bind(old)], []],
  ["an operator created anew inherits no session", old, [bind(old, 0, { operatorUid: "another" })], ["close TRX0"]],
])("%s", ([, wanted, actual, decisions]) => {
  expect(decide(desired(wanted ? { main: wanted } : {}), actual)).toEqual(decisions);
});

test("connections don't wait for each other", () => {
  const backup: ActualBind = { ...bind(old), connectionKey: "acme-de/backup" };
  expect(decide(desired({ main: otherHost, backup: otherHost }), [bind(old), bind(old, 1), backup])).toEqual([
    "rebind TRX0 endpoints.primary.host",
    "rebind TRX0 endpoints.primary.host",
    "open TRX1",
  ]);
});

test("whatever the start, deciding again and again ends with what is wanted", () => {
  const starts: ActualBind[][] = [[], [bind(old), bind(old, 1)], [bind(pair, 0, { slot: { role: TX, index: 0 } })]];
  for (const wanted of [old, otherHost, pair, disabled]) {
    for (const start of starts) {
      let binds = start;
      for (let round = 0; round < 10; round++) {
        const actions = reconcile(desired({ main: wanted }), binds);
        if (actions.length === 0) break;
        binds = actions.reduce<ActualBind[]>((now, action) => {
          if (action.kind === "open") return [...now, bind(action.connection.connection, 0, { slot: action.slot })];
          const others = now.filter((each) => each !== action.bind);
          if (action.kind === "close") return others;
          return [...others, { ...action.bind, config: action.connection.connection }];
        }, binds);
      }
      expect(reconcile(desired({ main: wanted }), binds)).toEqual([]);
    }
  }
});
