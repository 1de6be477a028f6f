import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretPath } from "../../src/credentials/secret-path.ts";
import { newCertificate } from "./certificates.ts";
import { failure } from "./failure.ts";
import { newOperator } from "./operators.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

const { signal } = new AbortController();
const certificateAndKey = newCertificate();
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

describe("a client certificate", () => {
  test("is kept with the password, and its expiry is shown", async () => {
    const { uid, ...name } = await newOperator(world);
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
    const { uid: _, ...name } = await newOperator(world);
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
    const { uid: _, ...name } = await newOperator(world);
    const { reason, text } = await failure(
      world.admin.setConnectionCredential({ ...name, systemId: "a", password: "b", clientCertificate }),
    );
    expect(reason).toBe(ErrorReason.FIELD_INVALID);
    expect(text).toContain(field);
    expect(text).not.toMatch(/planted|BEGIN/);
  });
});
