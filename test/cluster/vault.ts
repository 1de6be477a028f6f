import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { freePort } from "../harness/free-port.ts";
import { opened } from "./opened.ts";
import { startServer, type ServerProcess } from "./server-process.ts";
import { findServer } from "./servers.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { until } from "./until.ts";
import { startVaultAgent } from "./vault-agent.ts";
import { vaultApi, type VaultApi } from "./vault-api.ts";

/** A real Vault-compatible server (OpenBao) with KV version 2 at `secret/` and the service's policy. */
export interface Vault extends AsyncDisposable {
  readonly server: ServerProcess;
  readonly addr: string;
  readonly rootToken: string;
  /** Holds the service's token, which may only touch `secret/ops/`. With an agent it is the agent's sink. */
  readonly tokenFile: string;
  readonly agent: ServerProcess | undefined;
  /** As root. */
  readonly api: VaultApi;
  /** Every secret path answers 503 until it is unsealed. */
  seal(): Promise<void>;
  /** Also needed after a start of the server in mode `file`. */
  unseal(): Promise<void>;
  /** Makes the token in the file worthless; an agent notices at its next renewal. */
  revokeServiceToken(): Promise<void>;
  /** Puts a new token into the file, which is replaced whole; without an agent nobody else does. */
  issueServiceToken(): Promise<void>;
  /** Makes a token that lives for an hour; the result puts it into the file. */
  prepareServiceToken(): Promise<() => Promise<void>>;
}

export interface VaultOptions {
  /** `dev` keeps all in memory and starts unsealed; `file` keeps it over restarts. */
  readonly mode?: "dev" | "file";
  /** Whether `bao agent` logs in and keeps the token file, as the sidecar does. */
  readonly agent?: boolean;
  /** Of the service's token, as Vault writes it; `24h` by default. */
  readonly tokenTtl?: string;
}

export const SERVICE_POLICY = "ops-service";

const RULES = ["data", "metadata", "delete", "undelete", "destroy"]
  .map(
    (kind) => `path "secret/${kind}/ops/*" { capabilities = ["create", "read", "update", "patch", "delete", "list"] }`,
  )
  .join("\n");

export function startVault(options: VaultOptions = {}): Promise<Vault> {
  return opened((closing) => start(closing, options));
}

async function start(closing: ClosingStack, options: VaultOptions): Promise<Omit<Vault, typeof Symbol.asyncDispose>> {
  const folder = await temporaryFolder("vault");
  closing.push("folder", folder.remove);
  const port = await freePort(2); // The next one is for other nodes of its cluster, of which there are none.
  const addr = `http://127.0.0.1:${port}`;
  const mode = options.mode ?? "dev";
  const devRootToken = "root";
  const configFile = join(folder.path, "vault.json");
  if (mode === "file") {
    await mkdir(join(folder.path, "data"));
    await writeFile(configFile, configuration(port, join(folder.path, "data")));
  }
  const server = await startServer({
    name: "vault",
    command: findServer("bao"),
    args:
      mode === "file"
        ? ["server", `-config=${configFile}`]
        : [
            ...["server", "-dev", `-dev-root-token-id=${devRootToken}`],
            ...[`-dev-listen-address=127.0.0.1:${port}`, "-dev-no-store-token"],
          ],
    logFile: join(folder.path, "vault.log"),
    // Sealed, or not yet initialised, is an answer too.
    answers: async () => (await fetch(`${addr}/v1/sys/seal-status`)).ok,
  });
  closing.push("vault", () => server.kill());

  let rootToken = devRootToken;
  const api = vaultApi(addr, () => rootToken);
  let unsealKey: string | undefined;
  if (mode === "file") {
    const made = await api.call("PUT", "sys/init", { secret_shares: 1, secret_threshold: 1 });
    const { keys, root_token } = made as { keys: string[]; root_token: string };
    [unsealKey, rootToken] = [keys[0], root_token];
  }
  const unseal = async (): Promise<void> => {
    // In mode `dev` it is told to people only, and some time after the server answers.
    unsealKey ??= /Unseal Key: (\S+)/.exec(server.log())?.[1];
    await api.call("PUT", "sys/unseal", { key: unsealKey });
    await until("Vault is unsealed and active", async () => (await fetch(`${addr}/v1/sys/health`)).status === 200);
  };
  if (mode === "file") {
    await unseal();
    await api.call("PUT", "sys/mounts/secret", { type: "kv", options: { version: "2" } });
  }
  await api.call("PUT", `sys/policies/acl/${SERVICE_POLICY}`, { policy: RULES });

  const tokenFile = join(folder.path, "token");
  const ttl = options.tokenTtl ?? "24h";
  const prepare = async (period: string): Promise<() => Promise<void>> => {
    const made = await api.call("PUT", "auth/token/create-orphan", { policies: [SERVICE_POLICY], period });
    const { auth } = made as { auth: { client_token: string } };
    await writeFile(`${tokenFile}.new`, auth.client_token, { mode: 0o600 });
    return () => rename(`${tokenFile}.new`, tokenFile);
  };
  const issueServiceToken = async (): Promise<void> => (await prepare(ttl))();
  let agent: ServerProcess | undefined;
  if (options.agent) agent = await startVaultAgent({ closing, api, addr, folder: folder.path, tokenFile, ttl });
  else await issueServiceToken();

  return {
    server,
    addr,
    get rootToken() {
      return rootToken;
    },
    tokenFile,
    agent,
    api,
    seal: async () => void (await api.call("PUT", "sys/seal")),
    unseal,
    revokeServiceToken: async () => {
      await api.call("PUT", "auth/token/revoke", { token: (await readFile(tokenFile, "utf8")).trim() });
    },
    issueServiceToken,
    prepareServiceToken: () => prepare("1h"),
  };
}

function configuration(port: number, data: string): string {
  return JSON.stringify({
    // Raft with one node: OpenBao has no storage of type file any more.
    // The lowest multiplier: it elects itself within a second.
    storage: { raft: { path: data, node_id: "only", performance_multiplier: "1" } },
    listener: [{ tcp: { address: `127.0.0.1:${port}`, tls_disable: true } }],
    api_addr: `http://127.0.0.1:${port}`,
    cluster_addr: `http://127.0.0.1:${port + 1}`,
  });
}
