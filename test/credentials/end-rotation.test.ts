import { randomUUID } from "node:crypto";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState, RotationMode, RotationRebind } from "@operator-management/contract/ops/v1/credential_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { failure } from "./failure.ts";
import { changeConnection, storedConnection } from "./operators.ts";
import {
  bound,
  credentialOf,
  liveConnection,
  named,
  readableSecrets,
  report,
  refused,
  revisionsOf,
  rotate,
  statesOf,
  untilStates,
  untilEnded,
} from "./rotations.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

let dataDir: string;
let world: World;

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir);
});
afterAll(async () => {
  await world.close();
  await removeDataDir(dataDir);
});

describe("PromoteConnectionCredential", () => {
  test("makes the pending version the active one, with its system_id, and supersedes the other", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, { systemId: "acme02" });
    const { credential } = await world.admin.promoteConnectionCredential(named(live, pending));
    expect(credential).toMatchObject({
      active: { id: pending, state: CredentialState.ACTIVE, systemId: "acme02" },
      mode: RotationMode.UNSPECIFIED,
    });
    expect(credential?.pending).toBeUndefined();
    expect(await storedConnection(world, live.operatorId)).toMatchObject({ systemId: "acme02", credential });
    expect(await statesOf(world, live)).toEqual(["SUPERSEDED", "ACTIVE"]);
    expect(await readableSecrets(world, live)).toEqual(["pw-2"]);
  });

  test.each([
    { init: { mode: RotationMode.BOTH_VALID }, rebindOthers: true },
    { init: { mode: RotationMode.REPLACE }, rebindOthers: false },
    { init: { mode: RotationMode.SWITCH_AT, switchTime: { seconds: 1n } }, rebindOthers: false },
    {
      init: { mode: RotationMode.SWITCH_AT, switchTime: { seconds: 1n }, rebind: RotationRebind.AT_SWITCH },
      rebindOthers: true,
    },
  ])("has the other binds follow as the mode says: $init.mode $init.rebind", async ({ init, rebindOthers }) => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, init);
    const { credential } = await world.admin.promoteConnectionCredential(named(live, pending));
    expect(credential?.rebindOthers).toBe(rebindOthers);
  });

  test("is NO_ROTATION without one, for another version, and for a refused one", async () => {
    const live = await liveConnection(world);
    const reasonOf = async (id: string) =>
      (await failure(world.admin.promoteConnectionCredential(named(live, id)))).reason;
    expect(await reasonOf(live.active)).toBe(ErrorReason.NO_ROTATION);
    const pending = await rotate(world, live);
    expect(await reasonOf(randomUUID())).toBe(ErrorReason.NO_ROTATION);
    await report(world, live, refused(pending));
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
    expect(await reasonOf(pending)).toBe(ErrorReason.NO_ROTATION);
  });

  test("answers a repeated request id alike, and changes nothing with validate_only", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    const dry = await world.admin.promoteConnectionCredential({ ...named(live, pending), validateOnly: true });
    expect(dry).toMatchObject({ token: "", credential: { active: { id: pending } } });
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
    const request = { ...named(live, pending), requestId: randomUUID() };
    const first = await world.admin.promoteConnectionCredential(request);
    expect(await world.admin.promoteConnectionCredential(request)).toEqual(first);
  });
});

describe("CancelCredentialRotation", () => {
  test("withdraws the pending version and leaves the one in use as it was", async () => {
    const live = await liveConnection(world);
    const before = await storedConnection(world, live.operatorId);
    const pending = await rotate(world, live, { mode: RotationMode.REPLACE });
    const { credential } = await world.admin.cancelCredentialRotation(named(live, pending));
    expect(credential).toEqual(before?.credential);
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "CANCELLED"]);
    const again = failure(world.admin.cancelCredentialRotation(named(live, pending)));
    expect((await again).reason).toBe(ErrorReason.NO_ROTATION);
    await rotate(world, live);
  });

  test("is CREDENTIAL_IN_USE while a live node is bound with it; force overrides", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    const dismissed = { ...live, uid: randomUUID() }; // so that the report doesn't promote it
    await report(world, dismissed, bound(pending), { node: "smpp-7" });
    const { reason, text } = await failure(world.admin.cancelCredentialRotation(named(live, pending)));
    expect(reason).toBe(ErrorReason.CREDENTIAL_IN_USE);
    expect(text).toContain("smpp-7");
    await world.admin.cancelCredentialRotation({ ...named(live, pending), force: true });
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "CANCELLED"]);
  });

  test("isn't held up by a node that was refused, nor by one that fell silent or left", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, { mode: RotationMode.REPLACE });
    const dismissed = { ...live, uid: randomUUID() };
    await report(world, dismissed, refused(pending));
    await report(world, dismissed, bound(pending), { leaving: true });
    await report(world, dismissed, bound(pending));
    world.forward(61_000);
    await world.admin.cancelCredentialRotation(named(live, pending));
    world.forward(-61_000);
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "CANCELLED"]);
  });

  test("takes a refused version away, which stays REJECTED and can be rotated to again", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    await report(world, live, refused(pending));
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
    expect(await credentialOf(world, live)).toMatchObject({
      pending: { id: pending, state: CredentialState.REJECTED },
      mode: RotationMode.BOTH_VALID,
    });
    const { credential } = await world.admin.cancelCredentialRotation(named(live, pending));
    expect(credential?.pending).toBeUndefined();
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "REJECTED"]);
    await rotate(world, live, { credentialId: pending });
    expect(await readableSecrets(world, live)).toEqual(["pw-1", "pw-2"]);
  });

  test("a refused version is no obstacle to the next rotation, nor to setting one on a disabled connection", async () => {
    const live = await liveConnection(world);
    const first = await rotate(world, live);
    await report(world, live, refused(first));
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
    const second = await rotate(world, live, { credentialId: first });
    await report(world, live, refused(second));
    await untilStates(world, live, ["ACTIVE", "REJECTED", "REJECTED"]);
    await changeConnection(world, live.operatorId, "main", { adminState: AdminState.DISABLED });
    const { operatorId, connectionId } = live;
    await world.admin.setConnectionCredential({ operatorId, connectionId, systemId: "acme01", password: "pw-3" });
    expect(await readableSecrets(world, live)).toEqual(["pw-3"]);
  });
});

test.each([
  ["promote", "cancel"],
  ["cancel", "promote"],
  ["promote", "reject"],
  ["reject", "promote"],
] as const)("of %s and %s at once one makes a revision", async (...both) => {
  const live = await liveConnection(world);
  const pending = await rotate(world, live);
  const before = await revisionsOf(world, live);
  const ways = {
    promote: () => failure(world.admin.promoteConnectionCredential(named(live, pending))),
    cancel: () => failure(world.admin.cancelCredentialRotation(named(live, pending))),
    reject: () => report(world, live, refused(pending)),
  };
  const outcomes = await Promise.all(both.map((way) => ways[way]()));
  await untilEnded(world, live);
  await report(world, live, refused(pending)); // the driver has heard of it twice by now
  expect(await revisionsOf(world, live)).toBe(before + 1);
  expect((await statesOf(world, live)).filter((state) => state === "ACTIVE")).toHaveLength(1);
  const reasons = outcomes.flatMap((outcome) => (outcome?.reason === undefined ? [] : [outcome.reason]));
  expect(reasons.filter((reason) => reason !== ErrorReason.NO_ROTATION)).toEqual([]);
});
