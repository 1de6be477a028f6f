import { encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { failure } from "./failure.ts";
import { putOperator, storeCredential } from "./operators.ts";
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

describe("GetCredentialStatus", () => {
  test("never shows a secret, and gives the position of the read", async () => {
    const { token, ...name } = await storeCredential(world, "not-shown");
    const status = await world.admin.getCredentialStatus(name);
    expect(status.token).toBe(token);
    expect(status.staleSince).toBeUndefined();
    expect(JSON.stringify(status, withBigints)).not.toContain("not-shown");
  });

  test("has no versions for a connection without a credential", async () => {
    await putOperator(world, "empty", { main: {} });
    expect((await world.admin.getCredentialStatus({ operatorId: "empty", connectionId: "main" })).versions).toEqual([]);
  });

  test("shows a deleted operator's versions", async () => {
    const { token: _, ...name } = await storeCredential(world, "gone");
    const { operator } = world.catalog.get(name.operatorId)!;
    await putOperator(world, name.operatorId, operator.connections, { deleteTime: { seconds: 1n } });
    expect((await world.admin.getCredentialStatus(name)).versions.map(({ id }) => id)).toEqual([name.credentialId]);
  });

  test("says what doesn't exist, and refuses bad tokens at their field", async () => {
    const { token: _, ...name } = await storeCredential(world, "one");
    const reason = async (request: object) =>
      (await failure(world.admin.getCredentialStatus({ ...name, ...request }))).reason;
    expect(await reason({ operatorId: "nobody" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reason({ connectionId: "constructor" })).toBe(ErrorReason.CONNECTION_NOT_FOUND);
    const at = (value: string) => ({ consistency: { requirement: { case: "atLeastAsFresh" as const, value } } });
    expect(await reason(at("x"))).toBe(ErrorReason.FIELD_INVALID);
    const foreign = encodeToken({ ...world.catalog.position, store: new Uint8Array(16) });
    expect(await reason(at(foreign))).toBe(ErrorReason.TOKEN_FOREIGN);
  });

  test("shows the versions in use, marked stale, while the database is away and nothing else was asked for", async () => {
    const { token, ...name } = await storeCredential(world, "one");
    await world.catalog.refresh();
    await world.database.close();
    const status = await world.admin.getCredentialStatus(name);
    expect(status.versions.map(({ id }) => id)).toEqual([name.credentialId]);
    expect(status.staleSince).toBeDefined();
    const asked = { consistency: { requirement: { case: "fullyConsistent" as const, value: true } } };
    expect((await failure(world.admin.getCredentialStatus({ ...name, ...asked }))).reason).toBe(
      ErrorReason.DATABASE_UNAVAILABLE,
    );
    // And the mesh still gets the secret: reads don't need the database, nor does their audit hold them up.
    const { secret } = await world.mesh.getConnectionCredential({ ...name, minimumToken: token });
    expect(secret?.password).toBe("one");
  });
});

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
