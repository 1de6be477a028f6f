import { randomUUID } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { encodeToken } from "@operator-management/client";
import { toBinary } from "@bufbuild/protobuf";
import { BatchGetConnectionCredentialsResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { SecretStoreUnavailableError } from "../../src/backends/secrets/secret-store.ts";
import { auditEvent } from "../../src/db/schema.ts";
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

let dataDir: string;
let world: World;
let storeIsDown = false;

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir, {
    secrets: (real) =>
      withMethods(real, {
        get: (path, signal) =>
          storeIsDown ? Promise.reject(new SecretStoreUnavailableError("read", path)) : real.get(path, signal),
      }),
  });
});
afterAll(async () => {
  await world.close();
  await removeDataDir(dataDir);
});

interface Stored {
  readonly operatorId: string;
  readonly connectionId: string;
  readonly credentialId: string;
  readonly token: string;
}

async function store(password: string, extra: object = {}): Promise<Stored> {
  const name = { operatorId: `op-${randomUUID().slice(0, 8)}`, connectionId: "main" };
  await putOperator(world, name.operatorId, { main: {} });
  const reply = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password, ...extra });
  return { ...name, credentialId: reply.credential!.id, token: reply.token };
}

async function reasonOfRead(
  request: Omit<Stored, "token"> & { minimumToken?: string },
): Promise<ErrorReason | undefined> {
  return world.mesh.getConnectionCredential(request).then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}

describe("GetConnectionCredential", () => {
  test("returns the secret of the active credential as soon as the token of its change is named", async () => {
    const { token, ...name } = await store("s3cret");
    const { secret } = await world.mesh.getConnectionCredential({ ...name, minimumToken: token });
    expect(secret).toMatchObject({ credentialId: name.credentialId, systemId: "acme01", password: "s3cret" });
  });

  test("does not return what the catalog doesn't show as active or pending", async () => {
    const { token, ...name } = await store("one");
    await world.mesh.getConnectionCredential({ ...name, minimumToken: token }); // it is in the cache now
    const second = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "two" });
    expect(await reasonOfRead({ ...name, minimumToken: second.token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(await reasonOfRead({ ...name, credentialId: randomUUID() })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
  });

  test("returns the pending credential too", async () => {
    const { token: _, ...name } = await store("one");
    await world.catalog.refresh();
    const active = world.catalog.get(name.operatorId)!.operator.connections["main"]!.credential!.active!;
    await changeConnection(world, name.operatorId, "main", {
      credential: { $typeName: "ops.v1.ConnectionCredential", pending: active, mode: 1, rebind: 0 },
    });
    expect((await world.mesh.getConnectionCredential(name)).secret?.password).toBe("one");
  });

  test("binds a credential to its connection: another connection's id doesn't open it", async () => {
    const [mine, other] = [await store("mine"), await store("other")];
    const mixed = { operatorId: mine.operatorId, connectionId: "main", credentialId: other.credentialId };
    expect(await reasonOfRead({ ...mixed, minimumToken: other.token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
  });

  test("returns nothing of a deleted operator", async () => {
    const { token: _, ...name } = await store("gone");
    await putOperator(world, name.operatorId, { main: {} }, { deleteTime: { seconds: 1n } });
    expect(await reasonOfRead(name)).toBe(ErrorReason.OPERATOR_NOT_FOUND);
  });

  test("names what is missing, also for ids that every object has", async () => {
    const { token: _, ...name } = await store("s3cret");
    expect(await reasonOfRead({ ...name, operatorId: "nobody" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reasonOfRead({ ...name, operatorId: "constructor" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reasonOfRead({ ...name, connectionId: "constructor" })).toBe(ErrorReason.CONNECTION_NOT_FOUND);
  });

  test("refuses a minimum token that is none, and one of another store", async () => {
    const { token: _, ...name } = await store("s3cret");
    expect(await reasonOfRead({ ...name, minimumToken: "x" })).toBe(ErrorReason.FIELD_INVALID);
    const foreign = encodeToken({ ...world.catalog.position, store: new Uint8Array(16) });
    expect(await reasonOfRead({ ...name, minimumToken: foreign })).toBe(ErrorReason.TOKEN_FOREIGN);
  });

  test("answers from memory for five minutes while the secret store is down, then UNAVAILABLE", async () => {
    const [{ token, ...known }, fresh] = [await store("known"), await store("fresh")];
    await world.mesh.getConnectionCredential({ ...known, minimumToken: token });
    storeIsDown = true;
    try {
      world.forward(4 * 60_000);
      expect((await world.mesh.getConnectionCredential(known)).secret?.password).toBe("known");
      expect(await reasonOfRead({ ...fresh, minimumToken: fresh.token })).toBe(ErrorReason.VAULT_UNAVAILABLE);
      world.forward(61_000);
      expect(await reasonOfRead(known)).toBe(ErrorReason.VAULT_UNAVAILABLE);
    } finally {
      storeIsDown = false;
    }
    expect((await world.mesh.getConnectionCredential(known)).secret?.password).toBe("known");
  });

  test("says CREDENTIAL_NOT_FOUND for a damaged secret, and tells people in the log", async () => {
    const before = new Set(await readdir(join(dataDir, "secrets")));
    const { token, ...name } = await store("damaged");
    const [file] = (await readdir(join(dataDir, "secrets"))).filter((each) => !before.has(each));
    await writeFile(join(dataDir, "secrets", file!), "not what was written");
    expect(await reasonOfRead({ ...name, minimumToken: token })).toBe(ErrorReason.CREDENTIAL_NOT_FOUND);
    expect(world.logLines.join("\n")).toContain("a credential's secret is damaged");
  });

  test("is audited, granted or refused, without the secret", async () => {
    const { token, ...name } = await store("not-in-the-audit");
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

describe("BatchGetConnectionCredentials", () => {
  test("answers each entry in the order asked for, with its own error", async () => {
    const [one, two] = [await store("one"), await store("two")];
    const asked = [
      { ...two, minimumToken: two.token },
      { ...one, operatorId: "nobody" },
      { ...one, connectionId: "other" },
      { ...one, credentialId: randomUUID() },
      { ...one, minimumToken: "x" },
      one,
    ];
    const { results } = await world.mesh.batchGetConnectionCredentials({
      requests: asked.map(({ token: _, ...request }) => request),
    });
    const told = results.map(({ result }) => (result.case === "secret" ? result.value.password : result.value));
    expect(told).toEqual([
      "two",
      ErrorReason.OPERATOR_NOT_FOUND,
      ErrorReason.CONNECTION_NOT_FOUND,
      ErrorReason.CREDENTIAL_NOT_FOUND,
      ErrorReason.FIELD_INVALID,
      "one",
    ]);
  });

  test("says VAULT_UNAVAILABLE per entry while the secret store is down", async () => {
    const stored = await store("one");
    storeIsDown = true;
    const { results } = await world.mesh
      .batchGetConnectionCredentials({ requests: [{ ...stored, minimumToken: stored.token }] })
      .finally(() => (storeIsDown = false));
    expect(results.map(({ result }) => result)).toEqual([{ case: "error", value: ErrorReason.VAULT_UNAVAILABLE }]);
  });

  test("stays below 3 MiB: what doesn't fit is an error of its entry, and fits when asked for again", async () => {
    const { chainPem, keyPem } = newCertificate();
    const clientCertificate = { chainPem: chainPem.repeat(Math.floor(32_768 / chainPem.length)), keyPem };
    const { token, ...name } = await store("one", { clientCertificate });
    const request = { ...name, minimumToken: token };
    const reply = await world.mesh.batchGetConnectionCredentials({
      requests: Array.from({ length: 150 }, () => request),
    });
    const size = toBinary(BatchGetConnectionCredentialsResponseSchema, reply).length;
    const cut = reply.results.filter(({ result }) => result.value === ErrorReason.MESSAGE_TOO_LARGE);
    expect(reply.results).toHaveLength(150);
    expect(cut.length).toBeGreaterThan(0);
    expect(size).toBeGreaterThan(2.9 * 1024 * 1024);
    expect(size).toBeLessThanOrEqual(3 * 1024 * 1024);
    const again = await world.mesh.batchGetConnectionCredentials({ requests: cut.map(() => request) });
    expect(again.results.every(({ result }) => result.case === "secret")).toBe(true);
  });
});

describe("GetCredentialStatus", () => {
  test("never shows a secret, and gives the position of the read", async () => {
    const { token, ...name } = await store("not-shown");
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
    const { token: _, ...name } = await store("gone");
    const { operator } = world.catalog.get(name.operatorId)!;
    await putOperator(world, name.operatorId, operator.connections, { deleteTime: { seconds: 1n } });
    expect((await world.admin.getCredentialStatus(name)).versions.map(({ id }) => id)).toEqual([name.credentialId]);
  });

  test("says what doesn't exist, and refuses bad tokens at their field", async () => {
    const { token: _, ...name } = await store("one");
    const reason = (request: object) =>
      world.admin.getCredentialStatus({ ...name, ...request }).then(() => undefined, reasonOf);
    expect(await reason({ operatorId: "nobody" })).toBe(ErrorReason.OPERATOR_NOT_FOUND);
    expect(await reason({ connectionId: "constructor" })).toBe(ErrorReason.CONNECTION_NOT_FOUND);
    const at = (value: string) => ({ consistency: { requirement: { case: "atLeastAsFresh" as const, value } } });
    expect(await reason(at("x"))).toBe(ErrorReason.FIELD_INVALID);
    const foreign = encodeToken({ ...world.catalog.position, store: new Uint8Array(16) });
    expect(await reason(at(foreign))).toBe(ErrorReason.TOKEN_FOREIGN);
  });
});

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
