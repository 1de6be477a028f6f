import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { desc } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SecretStoreUnavailableError, type SecretStore } from "../../src/backends/secrets/secret-store.ts";
import { secretPath } from "../../src/credentials/secret-path.ts";
import { configChange, credential } from "../../src/db/schema.ts";
import { findOperator } from "../../src/history/find-operator.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { newCertificate } from "./certificates.ts";
import {
  changeConnection,
  newDataDir,
  openWorld,
  putOperator,
  removeDataDir,
  withMethods,
  type World,
} from "./world.ts";

const { signal } = new AbortController();
const certificateAndKey = newCertificate();
let dataDir: string;
let world: World;
let storeIsDown = false;

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir, { secrets: withOutages });
});
afterAll(async () => {
  await world.close();
  await removeDataDir(dataDir);
});

function withOutages(real: SecretStore): SecretStore {
  return withMethods(real, {
    put: async (path, secret, signal) => {
      if (storeIsDown) throw new SecretStoreUnavailableError("write", path);
      await real.put(path, secret, signal);
    },
  });
}

async function newOperator(connection = {}): Promise<{ operatorId: string; connectionId: string; uid: string }> {
  const id = `op-${randomUUID().slice(0, 8)}`;
  const { uid } = await putOperator(world, id, { main: connection });
  return { operatorId: id, connectionId: "main", uid };
}

const rows = () => world.database.db.select().from(credential);
const connectionOf = async (id: string) => (await findOperator(world.database.db, id))?.connections["main"];
const failure = async (call: Promise<unknown>): Promise<{ reason: ErrorReason | undefined; text: string }> => {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { reason: reasonOf(error), text: error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : "" };
};

describe("SetConnectionCredential", () => {
  test("stores the secret, names it in the operator and sets the system_id, in one revision", async () => {
    const { uid, ...name } = await newOperator({ systemId: "before" });
    const reply = await world.admin.setConnectionCredential({
      ...name,
      systemId: "acme01",
      password: "s3cret",
      reason: "first",
    });

    expect(reply.credential).toMatchObject({ version: 1, systemId: "acme01", state: CredentialState.ACTIVE });
    expect(reply.token).not.toBe("");
    expect(reply.warnings).toEqual([]);
    const connection = await connectionOf(name.operatorId);
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
    const { uid, ...name } = await newOperator();
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
    const { uid: _, ...name } = await newOperator();
    const first = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    await changeConnection(world, name.operatorId, "main", { adminState: state });
    const second = await world.admin.setConnectionCredential({ ...name, systemId: "acme02", password: "two" });
    expect(second.credential?.id).not.toBe(first.credential?.id);
    expect((await connectionOf(name.operatorId))?.credential?.active?.id).toBe(second.credential?.id);
  });

  test("replaces a credential of an enabled connection whose operator is disabled", async () => {
    const { uid: _, ...name } = await newOperator();
    await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    const current = await connectionOf(name.operatorId);
    const enabled = { ...current!, adminState: AdminState.ENABLED };
    await putOperator(world, name.operatorId, { main: enabled }, { adminState: AdminState.DISABLED });
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "two" });
    expect(credential?.version).toBe(2);
  });

  test.each([AdminState.ENABLED, AdminState.TESTING, AdminState.DRAINING, AdminState.MAINTENANCE])(
    "says USE_ROTATE in state %i and leaves nothing behind",
    async (state) => {
      const { uid: _, ...name } = await newOperator();
      const first = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
      await changeConnection(world, name.operatorId, "main", { adminState: state });
      const before = (await rows()).length;
      const { reason } = await failure(
        world.admin.setConnectionCredential({ ...name, systemId: "acme02", password: "planted-two" }),
      );
      expect(reason).toBe(ErrorReason.USE_ROTATE);
      expect((await rows()).length).toBe(before);
      expect((await connectionOf(name.operatorId))?.credential?.active?.id).toBe(first.credential?.id);
    },
  );

  test("gives an enabled connection its first credential", async () => {
    const { uid: _, ...name } = await newOperator({ adminState: AdminState.ENABLED });
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "one" });
    expect(credential?.state).toBe(CredentialState.ACTIVE);
  });

  test("refuses unknown operators, deleted ones and unknown connections without a row", async () => {
    const { uid: _, ...name } = await newOperator();
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
    const { uid, ...name } = await newOperator();
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
    const { uid, ...name } = await newOperator();
    const request = { ...name, systemId: "acme01", password: "first", requestId: randomUUID() };
    const replies = await Promise.all(Array.from({ length: 4 }, () => world.admin.setConnectionCredential(request)));
    expect(new Set(replies.map((reply) => reply.credential?.id)).size).toBe(1);
    const states = (await rows()).filter((row) => row.operatorUid === uid).map(({ state }) => state);
    expect(states.filter((state) => state === "ACTIVE")).toHaveLength(1);
    expect(states.filter((state) => state !== "ACTIVE" && state !== "STAGED")).toEqual([]);
  });

  test("refuses a request id that was used for another system_id", async () => {
    const { uid: _, ...name } = await newOperator();
    const request = { ...name, systemId: "acme01", password: "first", requestId: randomUUID() };
    await world.admin.setConnectionCredential(request);
    const { reason } = await failure(world.admin.setConnectionCredential({ ...request, systemId: "acme02" }));
    expect(reason).toBe(ErrorReason.REQUEST_ID_REUSED);
  });

  test("concurrent calls give each its own version, and the last committed is the active one", async () => {
    const { uid, ...name } = await newOperator();
    const replies = await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        world.admin.setConnectionCredential({ ...name, systemId: "a", password: `pw${n}` }),
      ),
    );
    expect(replies.map((reply) => reply.credential!.version).sort()).toEqual([1, 2, 3, 4, 5]);
    const active = (await rows()).filter((row) => row.operatorUid === uid && row.state === "ACTIVE");
    expect(active.map(({ id }) => id)).toEqual([(await connectionOf(name.operatorId))?.credential?.active?.id]);
  });

  test("only checks with validate_only: no row, no secret, no revision, but errors and warnings", async () => {
    const { uid: _, ...name } = await newOperator();
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
    const { uid, ...name } = await newOperator();
    storeIsDown = true;
    const { reason } = await failure(world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b" }));
    storeIsDown = false;
    expect(reason).toBe(ErrorReason.VAULT_UNAVAILABLE);
    expect((await rows()).filter((row) => row.operatorUid === uid).map(({ state }) => state)).toEqual(["STAGED"]);
    expect((await connectionOf(name.operatorId))?.credential).toBeUndefined();
    const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b" });
    expect(credential?.state).toBe(CredentialState.ACTIVE);
  });
});

describe("warnings of SetConnectionCredential", () => {
  test("tell of a long password and a long system_id without quoting either", async () => {
    const { uid: _, ...name } = await newOperator();
    const long = { systemId: "sixteen-chars-id", password: "nine-char" };
    const { warnings } = await world.admin.setConnectionCredential({ ...name, ...long });
    expect(warnings.map(({ path }) => path)).toEqual(["system_id", "password"]);
    expect(JSON.stringify(warnings)).not.toMatch(/nine-char|sixteen-chars/);
  });

  test("tell of an empty password", async () => {
    const { uid: _, ...name } = await newOperator();
    const { warnings } = await world.admin.setConnectionCredential({ ...name, systemId: "a", password: "" });
    expect(warnings.map(({ path }) => path)).toEqual(["password"]);
  });
});

describe("a client certificate", () => {
  test("is kept with the password, and its expiry is shown", async () => {
    const { uid, ...name } = await newOperator();
    const clientCertificate = certificateAndKey;
    const { credential } = await world.admin.setConnectionCredential({
      ...name,
      systemId: "a",
      password: "b",
      clientCertificate,
    });
    expect(credential?.hasClientCertificate).toBe(true);
    expect(credential?.clientCertificateExpireTime?.seconds).toBeGreaterThan(BigInt(Math.floor(Date.now() / 1000)));
    const { versions } = await world.admin.getCredentialStatus(name);
    expect(versions).toEqual([credential]);
    const path = secretPath({ ...name, operatorUid: uid, credentialId: credential!.id });
    expect((await world.secrets.get(path, signal))?.clientCertificate).toMatchObject(clientCertificate);
  });

  test("that has expired is kept, with a warning", async () => {
    const { uid: _, ...name } = await newOperator();
    const clientCertificate = newCertificate(2020, 2021);
    const { warnings } = await world.admin.setConnectionCredential({
      ...name,
      systemId: "a",
      password: "b",
      clientCertificate,
    });
    expect(warnings.map(({ path }) => path)).toEqual(["client_certificate.chain_pem"]);
  });

  test.each([
    ["client_certificate.chain_pem", { ...certificateAndKey, chainPem: "planted-not-a-certificate" }],
    ["client_certificate.key_pem", { ...certificateAndKey, keyPem: "planted-not-a-key" }],
    ["client_certificate.key_pem", { ...certificateAndKey, keyPem: newCertificate().keyPem }],
  ])("that is unusable is refused at %s without a word of it", async (field, clientCertificate) => {
    const { uid: _, ...name } = await newOperator();
    const { reason, text } = await failure(
      world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b", clientCertificate }),
    );
    expect(reason).toBe(ErrorReason.FIELD_INVALID);
    expect(text).toContain(field);
    expect(text).not.toMatch(/planted|BEGIN/);
  });
});

test("a planted password is nowhere in the data folder, in logs or in errors", async () => {
  const planted = "Pl4nted^Canary~7f3a";
  const { uid: _, ...name } = await newOperator();
  const request = { ...name, systemId: "acme01", password: planted, reason: "planting", requestId: randomUUID() };
  const texts: string[] = [];
  await world.admin.setConnectionCredential(request);
  await world.admin.setConnectionCredential(request);
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, systemId: "x" }))).text);
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, operatorId: "nobody" }))).text);
  storeIsDown = true;
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, requestId: "" }))).text);
  storeIsDown = false;
  await changeConnection(world, name.operatorId, "main", { adminState: AdminState.ENABLED });
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, requestId: "" }))).text);
  const active = (await connectionOf(name.operatorId))!.credential!.active!;
  const read = await world.mesh.getConnectionCredential({ ...name, credentialId: active.id });
  expect(read.secret?.password).toBe(planted); // it was stored: the search below would find it

  expect(texts.every((text) => text !== "")).toBe(true);
  expect([...texts, ...world.logLines].join("\n")).not.toContain(planted);
  await world.close();
  const found: string[] = [];
  for (const file of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const bytes = await readFile(join(file.parentPath, file.name));
    if (bytes.includes(planted) || bytes.includes(Buffer.from(planted).toString("base64").slice(0, 20)))
      found.push(file.name);
    if (bytes.includes("planting")) found.push("reason");
  }
  expect(new Set(found)).toEqual(new Set(["reason"])); // the reason is found, so the search works
  world = await openWorld(dataDir, { secrets: withOutages });
});
