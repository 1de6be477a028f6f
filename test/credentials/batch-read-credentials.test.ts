import { randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { BatchGetConnectionCredentialsResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newCertificate } from "./certificates.ts";
import { storeCredential } from "./operators.ts";
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

describe("BatchGetConnectionCredentials", () => {
  test("answers each entry in the order asked for, with its own error", async () => {
    const [one, two] = [await storeCredential(world, "one"), await storeCredential(world, "two")];
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
    const stored = await storeCredential(world, "one");
    world.outage.secretStore = true;
    const { results } = await world.mesh
      .batchGetConnectionCredentials({ requests: [{ ...stored, minimumToken: stored.token }] })
      .finally(() => (world.outage.secretStore = false));
    expect(results.map(({ result }) => result)).toEqual([{ case: "error", value: ErrorReason.VAULT_UNAVAILABLE }]);
  });

  test("stays below 3 MiB: what doesn't fit is an error of its entry, and fits when asked for again", async () => {
    const { chainPem, keyPem } = newCertificate();
    const clientCertificate = { chainPem: chainPem.repeat(Math.floor(32_768 / chainPem.length)), keyPem };
    const { token, ...name } = await storeCredential(world, "one", { clientCertificate });
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
