import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { findServer } from "./servers.ts";
import type { VaultApi } from "./vault-api.ts";
import { SERVICE_POLICY } from "./vault.ts";

export interface VaultAgentPlan {
  readonly closing: ClosingStack;
  readonly api: VaultApi;
  readonly addr: string;
  readonly folder: string;
  readonly tokenFile: string;
  readonly ttl: string;
}

/** The sidecar: logs in by itself and keeps a valid token in the file, which it replaces whole. */
export async function startVaultAgent(plan: VaultAgentPlan): Promise<ServerProcess> {
  const { api, folder, tokenFile } = plan;
  await api.call("PUT", "sys/auth/approle", { type: "approle" });
  const role = { token_policies: [SERVICE_POLICY], token_ttl: plan.ttl, token_max_ttl: "0" };
  await api.call("PUT", "auth/approle/role/ops-service", role);
  const { data: roleId } = await api.call("GET", "auth/approle/role/ops-service/role-id");
  const { data: secretId } = await api.call("PUT", "auth/approle/role/ops-service/secret-id");
  const roleIdFile = join(folder, "role-id");
  const secretIdFile = join(folder, "secret-id");
  await writeFile(roleIdFile, (roleId as { role_id: string }).role_id, { mode: 0o600 });
  await writeFile(secretIdFile, (secretId as { secret_id: string }).secret_id, { mode: 0o600 });

  const method = {
    type: "approle",
    config: {
      role_id_file_path: roleIdFile,
      secret_id_file_path: secretIdFile,
      remove_secret_id_file_after_reading: false,
    },
    // It waits this long after a failed login, doubling each time.
    min_backoff: "200ms",
    max_backoff: "1s",
  };
  const configFile = join(folder, "agent.json");
  const config = {
    vault: { address: plan.addr },
    auto_auth: { method, sinks: [{ sink: { type: "file", config: { path: tokenFile, mode: 0o600 } } }] },
  };
  await writeFile(configFile, JSON.stringify(config));
  const agent = await startServer({
    name: "vault-agent",
    command: findServer("bao"),
    args: ["agent", `-config=${configFile}`],
    logFile: join(folder, "agent.log"),
    answers: async () => (await stat(tokenFile)).size > 0,
  });
  plan.closing.push("vault-agent", () => agent.kill());
  return agent;
}
