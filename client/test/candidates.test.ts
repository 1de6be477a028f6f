import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  ConnectionCredentialSchema,
  CredentialState,
  RotationMode,
  RotationRebind,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import { describe, expect, it } from "vitest";
import { candidates } from "../src/index.ts";

const T = Date.parse("2031-05-01T00:00:00Z");
const [SECOND, MINUTE, HOUR] = [1_000, 60_000, 3_600_000];
const time = (ms: number) => timestampFromDate(new Date(ms));
const old = { id: "old", state: CredentialState.ACTIVE };
const next = { id: "new", state: CredentialState.PENDING };
const refused = { id: "new", state: CredentialState.REJECTED };

const replace = { active: old, pending: next, mode: RotationMode.REPLACE, startTime: time(T) };
const switchAt = {
  active: old,
  pending: next,
  mode: RotationMode.SWITCH_AT,
  switchTime: time(T),
  startTime: time(T - 24 * HOUR),
  window: { seconds: 1_800n },
};
const bothValid = { active: old, pending: next, mode: RotationMode.BOTH_VALID, startTime: time(T) };

/** The table of dataplane.md, row by row; `until` in milliseconds after T. */
describe("the credentials to bind with", () => {
  it.each([
    { what: "no credential", credential: {}, at: 0, order: [], rebind: "NONE" },
    { what: "no rotation", credential: { active: old }, at: 0, order: ["old BUDGET"], rebind: "NONE" },
    {
      what: "after a promotion whose other binds follow",
      credential: { active: old, rebindOthers: true },
      ...{ at: 0, order: ["old BUDGET"], rebind: "ALL" },
    },
    { what: "BOTH_VALID", credential: bothValid, at: 0, order: ["new ONCE", "old BUDGET"], rebind: "ONE" },
    {
      what: "BOTH_VALID, days later",
      credential: bothValid,
      at: 72 * HOUR,
      order: ["new ONCE", "old BUDGET"],
      rebind: "ONE",
    },
    {
      what: "BOTH_VALID, refused",
      credential: { ...bothValid, pending: refused },
      ...{ at: 0, order: ["old BUDGET"], rebind: "NONE" },
    },
    { what: "SWITCH_AT, before T", credential: switchAt, at: -SECOND, order: ["old BUDGET"], until: 0, rebind: "NONE" },
    {
      what: "SWITCH_AT, from T",
      credential: switchAt,
      ...{ at: 0, order: ["new SPACED", "old SPACED"], until: 30 * MINUTE, rebind: "NONE" },
    },
    {
      what: "SWITCH_AT, before the end of the window",
      credential: switchAt,
      ...{ at: 30 * MINUTE - 1, order: ["new SPACED", "old SPACED"], until: 30 * MINUTE, rebind: "NONE" },
    },
    {
      what: "SWITCH_AT, after the window",
      credential: switchAt,
      at: 30 * MINUTE,
      order: ["new BUDGET"],
      rebind: "NONE",
    },
    {
      what: "SWITCH_AT, refused after the window",
      credential: { ...switchAt, pending: refused },
      ...{ at: 31 * MINUTE, order: ["old BUDGET"], rebind: "NONE" },
    },
    {
      what: "SWITCH_AT with AT_SWITCH, before T",
      credential: { ...switchAt, rebind: RotationRebind.AT_SWITCH },
      ...{ at: -1, order: ["old BUDGET"], until: 0, rebind: "NONE" },
    },
    {
      what: "SWITCH_AT with AT_SWITCH, from T",
      credential: { ...switchAt, rebind: RotationRebind.AT_SWITCH },
      ...{ at: 0, order: ["new SPACED", "old SPACED"], until: 30 * MINUTE, rebind: "ONE" },
    },
    {
      what: "REPLACE, at once, for 2 h by default",
      credential: replace,
      ...{ at: 0, order: ["new SPACED", "old SPACED"], until: 2 * HOUR, rebind: "NONE" },
    },
    { what: "REPLACE, after the window", credential: replace, at: 2 * HOUR, order: ["new BUDGET"], rebind: "NONE" },
    {
      what: "a mode of a later release",
      credential: { ...replace, mode: 99 as RotationMode },
      ...{ at: 0, order: ["old BUDGET"], rebind: "NONE" },
    },
  ])("$what, at T + $at ms", ({ credential, at, order, rebind, ...rest }) => {
    const until = "until" in rest ? rest.until : undefined;
    const found = candidates(create(ConnectionCredentialSchema, credential), new Date(T + at));
    expect(found.order.map(({ id, limit }) => `${id} ${limit}`)).toEqual(order);
    expect(found.until).toEqual(until === undefined ? undefined : new Date(T + until));
    expect(found.rebind).toBe(rebind);
  });

  it("are none of a connection that never had one", () => {
    expect(candidates(undefined, new Date(T))).toEqual({ order: [], until: undefined, rebind: "NONE" });
  });
});
