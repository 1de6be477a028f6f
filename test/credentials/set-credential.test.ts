import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { desc } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretPath } from "../../src/credentials/secret-path.ts";
import { configChange, credential } from "../../src/db/schema.ts";
import { failure } from "./failure.ts";
import { changeConnection, newOperator, putOperator, storedConnection } from "./operators.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

const { signal } = new AbortController();
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

const rows = () => world.database.db.select().from(credential);

describe("SetConnectionCredential", () => {
  test("stores the secret, names it in the operator and sets the system_id, in one revision", async () => {
    const { uid, ...name } = await newOperator(world, { systemId: "before" });
    const reply = await world.admin.setConnectionCredential({
      ...name,
      systemId: "acme01",
      password: "s3cret",
      reason: "first",
    });

    expect(reply.credential).toMatchObject({ version: 1, systemId: "acme01", state: CredentialState.ACTIVE });
    expect(reply.token).not.toBe("");
    expect(reply.warnings).toEqual([]);
    const connection = await storedConnection(world, name.operatorId);
    expect(connection?.credential?.active).toEqual(reply.credential);
    expect(connection?.systemId).toBe("acme01");
    const path = secretPath({ ...name, operatorUid: uid, credentialId: reply.credential!.id });
    expect(await world.secrets.get(path, signal)).toMatchObject({ systemId: "acme01", password: "s3cret" });

    const [latest] = await world.database.db.select().from(configChange).orderBy(desc(configChange.revision)).limit(1);
    const change = fromBinary(ConfigChangeSchema, latest!.record);
    expect(change).toMatchObject({ kind: ChangeKind.CREDENTIAL, reason: "first", actor: { principal: "ann" } });
    expect(change.diff.map(({ path }) => path)).toContain("connections.main.system_id");
    expect(toJsonString(ConfigChangeSchema, change)).not.toContain("s3cret");
  });

  test("ten times in a row leaves one active version, nine superseded, and every secret readable", async () => {
    const { uid, ...name } = await newOperator(world);
    for (let n = 1; n <= 10; n++) {
      const { credential } = await world.admin.setConnectionCredential({
        ...name,
        systemId: "acme01",
        password: `pw-${n}`,
      });
      expect(credential?.version).toBe(n);
    }
    const { versions } = await world.admin.getCredentialStatus(name);
    expect(versions.map(({ version }) => version)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(versions.map(({ state }) => state)).toEqual([
      CredentialState.ACTIVE,
      ...Array<CredentialState>(9).fill(CredentialState.SUPERSEDED),
    ]);
    for (const { id, version } of versions) {
      const path = secretPath({ ...name, operatorUid: uid, credentialId: id });
      expect((await world.secrets.get(path, signal))?.password).toBe(`pw-${version}`);
    }
  });

  test.each([AdminState.DRAFT, AdminState.DISABLED])("replaces a credential in state %i", async (state) => {
    const { uid: _, ...name } = await newOperator(world);
    const first = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    await changeConnection(world, name.operatorId, "main", { adminState: state });
    const second = await world.admin.setConnectionCredential({ ...name, systemId: "acme02", password: "two" });
    expect(second.credential?.id).not.toBe(first.credential?.id);
    expect((await storedConnection(world, name.operatorId))?.credential?.active?.id).toBe(second.credential?.id);
  });

  test("replaces a credential of an enabled connection whose operator is disabled", async () => {
    const { uid: _, ...name } = await newOperator(world);
    await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    const current = await storedConnection(world, name.operatorId);
    const enabled = { ...current!, adminState: AdminState.ENABLED };
    await putOperator(world, name.operatorId, { main: enabled }, { adminState: AdminState.DISABLED });
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "two" });
    expect(credential?.version).toBe(2);
  });

  test.each([AdminState.ENABLED, AdminState.TESTING, AdminState.DRAINING, AdminState.MAINTENANCE])(
    "says USE_ROTATE in state %i and leaves nothing behind",
    async (state) => {
      const { uid: _, ...name } = await newOperator(world);
      const first = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
      await changeConnection(world, name.operatorId, "main", { adminState: state });
      const before = (await rows()).length;
      const { reason } = await failure(
        world.admin.setConnectionCredential({ ...name, systemId: "acme02", password: "planted-two" }),
      );
      expect(reason).toBe(ErrorReason.USE_ROTATE);
      expect((await rows()).length).toBe(before);
      expect((await storedConnection(world, name.operatorId))?.credential?.active?.id).toBe(first.credential?.id);
    },
  );

  test("gives an enabled connection its first credential", async () => {
    const { uid: _, ...name } = await newOperator(world, { adminState: AdminState.ENABLED });
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    expect(credential?.state).toBe(CredentialState.ACTIVE);
  });

  test("refuses unknown operators, deleted ones and unknown connections without a row", async () => {
    const { uid: _, ...name } = await newOperator(world);
    await putOperator(world, "deleted-one", { main: {} }, { deleteTime: { seconds: 1n } });
    const before = (await rows()).length;
    const set = (target: object) =>
      failure(world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b", ...target }));
    expect((await set({ operatorId: "nobody" })).reason).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect((await set({ operatorId: "deleted-one" })).reason).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect((await set({ connectionId: "constructor" })).reason).toBe(ErrorReason.CONNECTION_NOT_FOUND);
    expect((await rows()).length).toBe(before);
  });

  test("answers a repeated request id alike, whatever the password, and keeps the first", async () => {
    const { uid, ...name } = await newOperator(world);
    const request = { ...name, systemId: "acme01", password: "first", requestId: randomUUID() };
    const first = await world.admin.setConnectionCredential(request);
    // Also once a new call could no longer succeed.
    await changeConnection(world, name.operatorId, "main", { adminState: AdminState.ENABLED });
    const again = await world.admin.setConnectionCredential({ ...request, password: "second" });
    expect(again).toEqual(first);
    const mine = (await rows()).filter((row) => row.operatorUid === uid);
    expect(mine.map(({ state }) => state)).toEqual(["ACTIVE"]);
    const path = secretPath({ ...name, operatorUid: uid, credentialId: first.credential!.id });
    expect((await world.secrets.get(path, signal))?.password).toBe("first");
  });

  test("answers the same request id alike when called at once, with one version in use", async () => {
    const { uid, ...name } = await newOperator(world);
    const request = { ...name, systemId: "acme01", password: "first", requestId: randomUUID() };
    const replies = await Promise.all(Array.from({ length: 4 }, () => world.admin.setConnectionCredential(request)));
    expect(new Set(replies.map((reply) => reply.credential?.id)).size).toBe(1);
    const states = (await rows()).filter((row) => row.operatorUid === uid).map(({ state }) => state);
    expect(states.filter((state) => state === "ACTIVE")).toHaveLength(1);
    expect(states.filter((state) => state !== "ACTIVE" && state !== "STAGED")).toEqual([]);
  });

  test("refuses a request id that was used for another system_id", async () => {
    const { uid: _, ...name } = await newOperator(world);
    const request = { ...name, systemId: "acme01", password: "first", requestId: randomUUID() };
    await world.admin.setConnectionCredential(request);
    const { reason } = await failure(world.admin.setConnectionCredential({ ...request, systemId: "acme02" }));
    expect(reason).toBe(ErrorReason.REQUEST_ID_REUSED);
  });

  test("concurrent calls give each its own version, and the last committed is the active one", async () => {
    const { uid, ...name } = await newOperator(world);
    const replies = await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        world.admin.setConnectionCredential({ ...name, systemId: "a", password: `pw${n}` }),
      ),
    );
    expect(replies.map((reply) => reply.credential!.version).sort()).toEqual([1, 2, 3, 4, 5]);
    const active = (await rows()).filter((row) => row.operatorUid === uid && row.state === "ACTIVE");
    expect(active.map(({ id }) => id)).toEqual([
      (await storedConnection(world, name.operatorId))?.credential?.active?.id,
    ]);
  });

  test("only checks with validate_only: no row, no secret, no revision, but errors and warnings", async () => {
    const { uid: _, ...name } = await newOperator(world);
    const secretFiles = () => readdir(join(dataDir, "secrets"));
    const [before, files] = [await rows(), await secretFiles()];
    const dry = { ...name, systemId: "acme01", password: "longer-than-8", validateOnly: true };
    const reply = await world.admin.setConnectionCredential(dry);
    expect(reply.token).toBe("");
    expect(reply.credential).toBeUndefined();
    expect(reply.warnings.map(({ path }) => path)).toEqual(["password"]);
    const { reason } = await failure(world.admin.setConnectionCredential({ ...dry, connectionId: "other" }));
    expect(reason).toBe(ErrorReason.CONNECTION_NOT_FOUND);
    expect(await rows()).toEqual(before);
    expect(await secretFiles()).toEqual(files);
  });

  test("is UNAVAILABLE while the secret store is, and leaves only a staged row", async () => {
    const { uid, ...name } = await newOperator(world);
    world.outage.secretStore = true;
    const { reason } = await failure(world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b" }));
    world.outage.secretStore = false;
    expect(reason).toBe(ErrorReason.VAULT_UNAVAILABLE);
    expect((await rows()).filter((row) => row.operatorUid === uid).map(({ state }) => state)).toEqual(["STAGED"]);
    expect((await storedConnection(world, name.operatorId))?.credential).toBeUndefined();
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b" });
    expect(credential?.state).toBe(CredentialState.ACTIVE);
  });
});

describe("warnings of SetConnectionCredential", () => {
  test("tell of a long password and a long system_id without quoting either", async () => {
    const { uid: _, ...name } = await newOperator(world);
    const long = { systemId: "sixteen-chars-id", password: "nine-char" };
    const { warnings } = await world.admin.setConnectionCredential({ ...name, ...long });
    expect(warnings.map(({ path }) => path)).toEqual(["system_id", "password"]);
    expect(JSON.stringify(warnings)).not.toMatch(/nine-char|sixteen-chars/);
  });

  test("tell of an empty password", async () => {
    const { uid: _, ...name } = await newOperator(world);
    const { warnings } = await world.admin.setConnectionCredential({ ...name, systemId: "a", password: "" });
    expect(warnings.map(({ path }) => path)).toEqual(["password"]);
  });
});
