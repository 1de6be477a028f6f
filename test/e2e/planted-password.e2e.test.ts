import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spawnService, type SpawnedService } from "../harness/service.ts";

/** Digits only, so that the same text can be planted as a string and as a number; 16 of them, so that nothing else is alike. */
const PLANTED = "4815162342997715";

/** Where a person might put a password by mistake: [method, body]. Each call must fail or keep it secret. */
function plantings(): [string, string][] {
  const at = { operatorId: "acme", connectionId: "main" };
  const json = (value: unknown): string => JSON.stringify(value);
  const set = (more: object): string => json({ ...at, systemId: "acme01", ...more });
  return [
    ["SetConnectionCredential", set({ password: PLANTED })],
    ["SetConnectionCredential", set({ password: PLANTED, validateOnly: true })],
    [
      "SetConnectionCredential",
      `{"operatorId":"acme","connectionId":"main","systemId":"acme01","password":${PLANTED}}`,
    ],
    ["SetConnectionCredential", set({ password: [PLANTED] })],
    ["SetConnectionCredential", set({ password: { value: PLANTED } })],
    ["SetConnectionCredential", set({ password: PLANTED.repeat(10) })],
    ["SetConnectionCredential", set({ password: `${PLANTED}\u0000` })],
    ["SetConnectionCredential", set({ password: PLANTED, requestId: "no-uuid" })],
    ["SetConnectionCredential", set({ password: PLANTED, unknownField: true })],
    ["SetConnectionCredential", set({ passwort: PLANTED })],
    ["SetConnectionCredential", json({ ...at, operatorId: "nobody", systemId: "acme01", password: PLANTED })],
    ["SetConnectionCredential", json({ ...at, connectionId: "nowhere", systemId: "acme01", password: PLANTED })],
    ["SetConnectionCredential", json({ ...at, systemId: "", password: PLANTED })],
    ["SetConnectionCredential", set({ clientCertificate: { chainPem: PLANTED, keyPem: PLANTED } })],
    ["SetConnectionCredential", `${set({ password: PLANTED }).slice(0, -1)},`],
    ["CreateOperator", json({ operatorId: "wrong", operator: { connections: { main: { password: PLANTED } } } })],
    ["CreateOperator", json({ operatorId: "wrong", password: PLANTED })],
    [
      "UpdateOperator",
      json({
        operatorId: "acme",
        operator: { connections: { main: { credential: { active: { id: PLANTED, password: PLANTED } } } } },
      }),
    ],
    [
      "UpdateOperator",
      json({ operatorId: "acme", operator: { connections: { main: { credential: { active: { id: PLANTED } } } } } }),
    ],
    ["GetOperator", json({ operatorId: "acme", password: PLANTED })],
    ["ListOperators", json({ filter: `password = "${PLANTED}"` })],
    ["ChangeAdminState", json({ operatorId: "acme", target: PLANTED })],
    ["NoSuchMethod", json({ password: PLANTED })],
  ];
}

async function call(
  service: SpawnedService,
  method: string,
  body: string,
  contentType = "application/json",
): Promise<string> {
  const response = await fetch(`${service.url}/v1/admin/operators/ops.v1.OperatorAdminService/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.adminToken}`, "content-type": contentType },
    body,
  });
  const answer = await response.text();
  // Error details travel as base64 too.
  const encoded = [...answer.matchAll(/"value":\s*"([A-Za-z0-9+/=_-]+)"/g)].map(([, value]) =>
    Buffer.from(value ?? "", "base64").toString("latin1"),
  );
  return [response.status, [...response.headers], answer, ...encoded].join("\n");
}

async function filesWith(folder: string, needles: readonly Buffer[]): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hits = await Promise.all(files.map((file) => contains(file, needles)));
  return files.filter((_, index) => hits[index]);
}

async function contains(file: string, needles: readonly Buffer[]): Promise<boolean> {
  const bytes = await readFile(file);
  return needles.some((needle) => bytes.includes(needle));
}

describe("a password entered anywhere", () => {
  it("is found nowhere but, encrypted, in the secret store: not in answers, logs, metrics, or any file", async () => {
    await using service = await spawnService({ logLevel: "trace" });
    const at = { operatorId: "acme", connectionId: "main" };
    await service.admin.createOperator({ operatorId: "acme", operator: { connections: { main: {} } } });
    const answers: string[] = [];
    for (const [method, body] of plantings()) {
      answers.push(
        await call(service, method, body),
        await call(service, method, body, "text/plain"),
        await call(service, method, body, "application/proto"),
      );
    }
    const { operator } = await service.admin.getOperator({ operatorId: "acme" });
    const credentialId = operator?.connections["main"]?.credential?.active?.id ?? "";
    // It is really there, for those who may read it: the search below searches for something that exists.
    const { secret } = await service.mesh.getConnectionCredential({ ...at, credentialId });
    expect(secret?.password).toBe(PLANTED);
    await expect(service.mesh.getConnectionCredential({ ...at, credentialId: PLANTED })).rejects.toThrow();
    const admin = [
      await service.admin.getCredentialStatus(at),
      await service.admin.listOperatorRevisions(at),
      await service.admin.getFleetStatus({}),
    ];
    const metrics = await (await fetch(`${service.metricsUrl}/metrics`)).text();
    await service.kill();

    const needles = [
      Buffer.from(PLANTED),
      Buffer.from(PLANTED, "utf16le"),
      Buffer.from(Buffer.from(PLANTED).toString("base64").slice(0, 20)),
      Buffer.from(Buffer.from(PLANTED).toString("hex")),
    ];
    for (const [index, answer] of answers.entries()) {
      expect(answer, `${plantings()[Math.floor(index / 3)]?.join(" ")}`).not.toContain(PLANTED);
    }
    const json = JSON.stringify(admin, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    expect(json).not.toContain(PLANTED);
    expect(metrics).not.toContain(PLANTED);
    expect(service.logLines.filter((line) => needles.some((needle) => line.includes(needle.toString())))).toEqual([]);
    expect(await filesWith(service.dataDir, needles)).toEqual([]);
  });
});
