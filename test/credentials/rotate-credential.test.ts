import { randomUUID } from "node:crypto";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState, RotationMode, RotationRebind } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { desc, eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditEvent, configChange, credential } from "../../src/db/schema.ts";
import { failure } from "./failure.ts";
import { changeConnection, newOperator } from "./operators.ts";
import { credentialOf, liveConnection, named, readableSecrets, revisionsOf, rotate, statesOf } from "./rotations.ts";
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

const at = timestampFromDate(new Date("2031-05-01T00:00:00Z"));

describe("RotateConnectionCredential", () => {
  test.each([
    {
      request: { mode: RotationMode.REPLACE },
      plan: { mode: RotationMode.REPLACE, window: { seconds: 7_200n } },
      without: ["switchTime"],
    },
    {
      request: { mode: RotationMode.SWITCH_AT, switchTime: at, window: { seconds: 600n } },
      plan: {
        mode: RotationMode.SWITCH_AT,
        switchTime: at,
        window: { seconds: 600n },
        rebind: RotationRebind.NONE,
      },
      without: [],
    },
    {
      request: { mode: RotationMode.BOTH_VALID },
      plan: { mode: RotationMode.BOTH_VALID },
      without: ["switchTime", "window"],
    },
  ])(
    "keeps the one in use and stores the new one beside it, with $request.mode",
    async ({ request, plan, without }) => {
      const live = await liveConnection(world);
      const { operatorId, connectionId } = live;
      const reply = await world.admin.rotateConnectionCredential({
        ...{ operatorId, connectionId, systemId: "acme02", password: "planted-new", reason: "yearly" },
        ...request,
      });
      expect(reply.credential).toMatchObject({
        ...plan,
        active: { id: live.active, state: CredentialState.ACTIVE, version: 1 },
        pending: { systemId: "acme02", state: CredentialState.PENDING, version: 2 },
      });
      for (const field of without) expect(reply.credential).not.toHaveProperty(field);
      expect(await credentialOf(world, live)).toEqual(reply.credential);
      expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
      expect(await readableSecrets(world, live)).toEqual(["pw-1", "planted-new"]);

      const [latest] = await world.database.db
        .select()
        .from(configChange)
        .orderBy(desc(configChange.revision))
        .limit(1);
      const change = fromBinary(ConfigChangeSchema, latest!.record);
      expect(change).toMatchObject({ kind: ChangeKind.CREDENTIAL, reason: "yearly", actor: { principal: "ann" } });
      expect(toJsonString(ConfigChangeSchema, change)).not.toContain("planted");
      const [audited] = await world.database.db.select().from(auditEvent).orderBy(desc(auditEvent.id)).limit(1);
      expect(audited).toMatchObject({ method: "RotateConnectionCredential", actorKind: "ADMIN", result: "OK" });
    },
  );

  test("needs a credential to rotate from, and one rotation at a time, and leaves no row behind", async () => {
    const { uid, ...name } = await newOperator(world);
    const request = { ...name, systemId: "a", password: "b", mode: RotationMode.REPLACE };
    expect((await failure(world.admin.rotateConnectionCredential(request))).reason).toBe(
      ErrorReason.CREDENTIAL_MISSING,
    );
    const rows = await world.database.db.select().from(credential).where(eq(credential.operatorUid, uid));
    expect(rows).toEqual([]);

    const live = await liveConnection(world);
    await rotate(world, live);
    expect((await failure(rotate(world, live))).reason).toBe(ErrorReason.ROTATION_IN_PROGRESS);
    await changeConnection(world, live.operatorId, "main", { adminState: AdminState.DISABLED });
    const set = world.admin.setConnectionCredential({ ...named(live, ""), systemId: "a", password: "b" });
    expect((await failure(set)).reason).toBe(ErrorReason.ROTATION_IN_PROGRESS);
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
  });

  test("names unknown operators and connections", async () => {
    const live = await liveConnection(world);
    expect((await failure(rotate(world, { ...live, operatorId: "nobody" }))).reason).toBe(
      ErrorReason.OPERATOR_NOT_FOUND,
    );
    expect((await failure(rotate(world, { ...live, connectionId: "constructor" }))).reason).toBe(
      ErrorReason.CONNECTION_NOT_FOUND,
    );
  });

  test("answers a repeated request id alike, also at once, with one version pending", async () => {
    const live = await liveConnection(world);
    const init = { requestId: randomUUID() };
    const ids = await Promise.all([1, 2, 3].map(() => rotate(world, live, init)));
    expect(new Set([...ids, await rotate(world, live, init)]).size).toBe(1);
    const states = await statesOf(world, live);
    expect(states.filter((state) => state !== "STAGED")).toEqual(["ACTIVE", "PENDING"]);
  });

  test("of calls at once with different ids one begins its rotation", async () => {
    const live = await liveConnection(world);
    const before = await revisionsOf(world, live);
    const outcomes = await Promise.all([1, 2, 3].map(async () => failure(rotate(world, live))));
    const reasons = outcomes.map(({ reason }) => reason).sort();
    expect(reasons).toEqual([ErrorReason.ROTATION_IN_PROGRESS, ErrorReason.ROTATION_IN_PROGRESS, undefined]);
    expect(await revisionsOf(world, live)).toBe(before + 1);
  });

  test("only checks with validate_only", async () => {
    const live = await liveConnection(world);
    const { operatorId, connectionId } = live;
    const before = await revisionsOf(world, live);
    const reply = await world.admin.rotateConnectionCredential({
      ...{ operatorId, connectionId, systemId: "acme01", password: "longer-than-8" },
      ...{ mode: RotationMode.BOTH_VALID, window: { seconds: 60n }, validateOnly: true },
    });
    expect(reply).toMatchObject({ token: "", credential: { active: { id: live.active } } });
    expect(reply.credential?.pending).toBeUndefined();
    expect(reply.warnings.map(({ path }) => path)).toEqual(["password", "window"]);
    expect(await statesOf(world, live)).toEqual(["ACTIVE"]);
    expect(await revisionsOf(world, live)).toBe(before);
  });

  test("warns where nothing binds, of a switch that is over and of another system_id", async () => {
    const live = await liveConnection(world);
    await changeConnection(world, live.operatorId, "main", { adminState: AdminState.DISABLED });
    const { operatorId, connectionId } = live;
    const { warnings } = await world.admin.rotateConnectionCredential({
      ...{ operatorId, connectionId, systemId: "acme02", password: "new" },
      ...{ mode: RotationMode.SWITCH_AT, switchTime: { seconds: 1n } },
    });
    expect(warnings.map(({ path }) => path)).toEqual(["connection_id", "switch_time", "system_id"]);
  });

  test("is UNAVAILABLE while the secret store is, and can be repeated", async () => {
    const live = await liveConnection(world);
    world.outage.secretStore = true;
    const { reason } = await failure(rotate(world, live));
    world.outage.secretStore = false;
    expect(reason).toBe(ErrorReason.VAULT_UNAVAILABLE);
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "STAGED"]);
    await rotate(world, live);
    expect(await readableSecrets(world, live)).toEqual(["pw-1", "pw-2"]);
  });
});

describe("rotating to an earlier version", () => {
  test("takes its secret along in a new version, from CANCELLED and from SUPERSEDED", async () => {
    const live = await liveConnection(world);
    const second = await rotate(world, live);
    await world.admin.cancelCredentialRotation(named(live, second));
    const third = await rotate(world, live, { credentialId: second });
    expect(third).not.toBe(second);
    expect(await readableSecrets(world, live)).toEqual(["pw-1", "pw-2"]);
    await world.admin.promoteConnectionCredential(named(live, third));
    await rotate(world, live, { credentialId: live.active, mode: RotationMode.REPLACE });
    expect(await readableSecrets(world, live)).toEqual(["pw-2", "pw-1"]);
    expect(await statesOf(world, live)).toEqual(["SUPERSEDED", "CANCELLED", "ACTIVE", "PENDING"]);
  });

  test("is CREDENTIAL_NOT_FOUND for the one in use, another connection's, and one whose secret is gone", async () => {
    const [live, other] = [await liveConnection(world), await liveConnection(world)];
    const pending = await rotate(world, live);
    await world.admin.cancelCredentialRotation(named(live, pending));
    const reasonOf = async (credentialId: string) => (await failure(rotate(world, live, { credentialId }))).reason;
    expect(await reasonOf(live.active)).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(await reasonOf(other.active)).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    const row = { secretDeleteTime: timestampFromDate(new Date()) };
    await world.database.db.update(credential).set(row).where(eq(credential.id, pending));
    expect(await reasonOf(pending)).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "CANCELLED"]);
  });
});

test("twelve rotations in a row: every ACTIVE or PENDING version is readable at every step", async () => {
  const live = await liveConnection(world);
  const modes = [RotationMode.REPLACE, RotationMode.SWITCH_AT, RotationMode.BOTH_VALID];
  for (let n = 2; n <= 13; n++) {
    const mode = modes[n % modes.length]!;
    const switchTime = mode === RotationMode.SWITCH_AT ? { switchTime: at } : {};
    const pending = await rotate(world, live, { password: `pw-${n}`, mode, ...switchTime });
    expect(await readableSecrets(world, live)).toEqual([`pw-${n - 1}`, `pw-${n}`]);
    await world.admin.promoteConnectionCredential(named(live, pending));
    expect(await readableSecrets(world, live)).toEqual([`pw-${n}`]);
  }
  expect(await statesOf(world, live)).toEqual([...Array<string>(12).fill("SUPERSEDED"), "ACTIVE"]);
});
