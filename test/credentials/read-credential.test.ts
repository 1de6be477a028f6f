import { randomUUID } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { auditEvent } from "../../src/db/schema.ts";
import { failure } from "./failure.ts";
import { putOperator, storeCredential, type StoredCredential } from "./operators.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

const PATIENCE = { timeout: 10_000 };
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

async function reasonOfRead(
  request: Omit<StoredCredential, "token"> & { minimumToken?: string },
): Promise<ErrorReason | undefined> {
  return (await failure(world.mesh.getConnectionCredential(request))).reason;
}

describe("GetConnectionCredential", () => {
  test("returns the secret of the active credential as soon as the token of its change is named", async () => {
    const { token, ...name } = await storeCredential(world, "s3cret");
    const { secret } = await world.mesh.getConnectionCredential({ ...name, minimumToken: token });
    expect(secret).toMatchObject({ credentialId: name.credentialId, systemId: "acme01", password: "s3cret" });
  });

  test("does not return what the catalog doesn't show as active or pending", async () => {
    const { token, ...name } = await storeCredential(world, "one");
    await world.mesh.getConnectionCredential({ ...name, minimumToken: token }); // it is in the cache now
    const second = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "two" });
    expect(await reasonOfRead({ ...name, minimumToken: second.token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(await reasonOfRead({ ...name, credentialId: randomUUID() })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
  });

  test("returns the active and the pending credential of a rotation, and no longer the pending one once it was refused", async () => {
    const { token: _, ...name } = await storeCredential(world, "one");
    const { operatorId, connectionId } = name;
    const begun = await world.admin.rotateConnectionCredential({
      ...{ operatorId, connectionId, systemId: "acme01", password: "two", mode: RotationMode.BOTH_VALID },
    });
    const pending = { ...name, credentialId: begun.credential!.pending!.id, minimumToken: begun.token };
    expect((await world.mesh.getConnectionCredential(pending)).secret?.password).toBe("two");
    expect((await world.mesh.getConnectionCredential(name)).secret?.password).toBe("one");
    const { operator } = world.catalog.get(operatorId)!;
    const { uid: operatorUid } = operator;
    world.rotations.observe({ ...pending, operatorUid, outcome: "rejected" });
    await vi.waitFor(async () => expect(await reasonOfRead(pending)).toBe(ErrorReason.CREDENTIAL_NOT_FOUND), PATIENCE);
    expect((await world.mesh.getConnectionCredential(name)).secret?.password).toBe("one");
  });

  test("binds a credential to its connection: another connection's id doesn't open it", async () => {
    const [mine, other] = [await storeCredential(world, "mine"), await storeCredential(world, "other")];
    const mixed = { operatorId: mine.operatorId, connectionId: "main", credentialId: other.credentialId };
    expect(await reasonOfRead({ ...mixed, minimumToken: other.token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
  });

  test("returns nothing of a deleted operator", async () => {
    const { token: _, ...name } = await storeCredential(world, "gone");
    await putOperator(world, name.operatorId, { main: {} }, { deleteTime: { seconds: 1n } });
    expect(await reasonOfRead(name)).toBe(ErrorReason.OPERATOR_NOT_FOUND);
  });

  test("names what is missing, also for ids that every object has", async () => {
    const { token: _, ...name } = await storeCredential(world, "s3cret");
    expect(await reasonOfRead({ ...name, operatorId: "nobody" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reasonOfRead({ ...name, operatorId: "constructor" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reasonOfRead({ ...name, connectionId: "constructor" })).toBe(ErrorReason.CONNECTION_NOT_FOUND);
  });

  test("refuses a minimum token that is none, and one of another store", async () => {
    const { token: _, ...name } = await storeCredential(world, "s3cret");
    expect(await reasonOfRead({ ...name, minimumToken: "x" })).toBe(ErrorReason.FIELD_INVALID);
    const foreign = encodeToken({ ...world.catalog.position, store: new Uint8Array(16) });
    expect(await reasonOfRead({ ...name, minimumToken: foreign })).toBe(ErrorReason.TOKEN_FOREIGN);
  });

  test("answers from memory for five minutes while the secret store is down, then UNAVAILABLE", async () => {
    const [{ token, ...known }, fresh] = [await storeCredential(world, "known"), await storeCredential(world, "fresh")];
    await world.mesh.getConnectionCredential({ ...known, minimumToken: token });
    world.outage.secretStore = true;
    try {
      world.forward(4 * 60_000);
      expect((await world.mesh.getConnectionCredential(known)).secret?.password).toBe("known");
      expect(await reasonOfRead({ ...fresh, minimumToken: fresh.token })).toBe(ErrorReason.VAULT_UNAVAILABLE);
      world.forward(61_000);
      expect(await reasonOfRead(known)).toBe(ErrorReason.VAULT_UNAVAILABLE);
    } finally {
      world.outage.secretStore = false;
    }
    expect((await world.mesh.getConnectionCredential(known)).secret?.password).toBe("known");
  });

  test("says CREDENTIAL_NOT_FOUND for a damaged secret, and tells people in the log", async () => {
    const before = new Set(await readdir(join(dataDir, "secrets")));
    const { token, ...name } = await storeCredential(world, "damaged");
    const [file] = (await readdir(join(dataDir, "secrets"))).filter((each) => !before.has(each));
    await writeFile(join(dataDir, "secrets", file!), "not what was written");
    expect(await reasonOfRead({ ...name, minimumToken: token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(world.logLines.join("\n")).toContain("a credential's secret is damaged");
  });

  test("is audited, granted or refused, without the secret", async () => {
    const { token, ...name } = await storeCredential(world, "not-in-the-audit");
    await world.mesh.getConnectionCredential({ ...name, minimumToken: token });
    await reasonOfRead({ ...name, connectionId: "other" });
    const target = (connection: string): string =>
      `operators/${name.operatorId}/connections/${connection}/credentials/${name.credentialId}`;
    const events = () =>
      world.database.db.select().from(auditEvent).where(eq(auditEvent.method, "GetConnectionCredential"));
    const mine = async () => (await events()).filter((event) => event.target.includes(name.operatorId));
    await vi.waitFor(async () => expect(await mine()).toHaveLength(2));
    const who = {
      actorPrincipal: "spiffe://test/smpp-connector",
      actorKind: "WORKLOAD",
      source: "10.0.0.7",
      requestId: "req-1",
    };
    expect(await mine()).toMatchObject([
      { ...who, target: target("main"), result: "OK" },
      { ...who, target: target("other"), result: "CONNECTION_NOT_FOUND" },
    ]);
    expect(JSON.stringify(await events(), withBigints)).not.toContain("not-in-the-audit");
  });
});

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
