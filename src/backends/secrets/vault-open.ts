import type { Logger } from "pino";
import { VaultClient } from "./vault-client.ts";
import { VaultKubernetesLogin, type KubernetesRole } from "./vault-kubernetes-login.ts";
import { VaultKv } from "./vault-kv.ts";
import { VaultTokenFile } from "./vault-token-file.ts";

/** Where Vault is, and how to get a token: from an agent's file, or by a login. */
export interface VaultSettings {
  /** Such as `https://vault.example.com:8200`. */
  readonly addr: string;
  /** Of the KV engine, version 2. */
  readonly mount: string;
  readonly login: { readonly tokenFile: string } | KubernetesRole;
}

/** The KV engine that the settings name. Nothing is asked of Vault yet, so it needn't be up. */
export function openVault({ addr, mount, login }: VaultSettings, logger: Pick<Logger, "warn">): VaultKv {
  const tokens =
    "tokenFile" in login ? new VaultTokenFile(login.tokenFile) : new VaultKubernetesLogin(addr, login, logger);
  return new VaultKv(new VaultClient(addr, tokens), mount);
}
