import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { until } from "./until.ts";
import { startVault, type Vault } from "./vault.ts";

test("the service's token reaches the service's secrets and nothing else", async () => {
  await using vault = await startVault();
  await vault.api.call("PUT", "secret/data/other/a", { data: { value: 1 } });
  expect(await asService(vault, "PUT", "ops/a")).toBe(200);
  expect(await asService(vault, "GET", "ops/a")).toBe(200);
  expect(await asService(vault, "GET", "other/a")).toBe(403);
});

test.for(["dev", "file"] as const)("in mode %s a sealed server answers 503 until it is unsealed", async (mode) => {
  await using vault = await startVault({ mode });
  expect(await asService(vault, "PUT", "ops/a")).toBe(200);
  await vault.seal();
  expect(await asService(vault, "GET", "ops/a")).toBe(503);
  await vault.unseal();
  expect(await asService(vault, "GET", "ops/a")).toBe(200);
});

test("in mode file secrets and tokens outlive kill -9; it comes back sealed", async () => {
  await using vault = await startVault({ mode: "file" });
  await asService(vault, "PUT", "ops/a");
  await vault.server.kill();
  await vault.server.start();
  expect(await asService(vault, "GET", "ops/a")).toBe(503);
  await vault.unseal();
  expect(await asService(vault, "GET", "ops/a")).toBe(200);
});

test("a revoked token is worthless until a new one is issued", async () => {
  await using vault = await startVault();
  await vault.revokeServiceToken();
  expect(await asService(vault, "GET", "ops/a")).toBe(403);
  await vault.issueServiceToken();
  expect(await asService(vault, "PUT", "ops/a")).toBe(200);
});

test("the agent replaces a revoked token by itself", async () => {
  await using vault = await startVault({ agent: true, tokenTtl: "3s" });
  expect(await asService(vault, "PUT", "ops/a")).toBe(200);
  await vault.revokeServiceToken();
  expect(await asService(vault, "GET", "ops/a")).toBe(403);
  await until("the agent has a new token", async () => (await asService(vault, "GET", "ops/a")) === 200);
});

async function asService(vault: Vault, method: "GET" | "PUT", path: string): Promise<number> {
  const response = await fetch(`${vault.addr}/v1/secret/data/${path}`, {
    method,
    headers: { "X-Vault-Token": await readFile(vault.tokenFile, "utf8") },
    body: method === "PUT" ? JSON.stringify({ data: { value: "a" } }) : null,
  });
  return response.status;
}
