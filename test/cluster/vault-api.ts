/** Calls to a Vault-compatible server's HTTP API, below /v1. */
export interface VaultApi {
  /** @throws Error with the status and the server's words when it refuses */
  call(method: "GET" | "PUT" | "DELETE", path: string, body?: unknown): Promise<Record<string, unknown>>;
}

/** @param token asked for with each call; undefined before there is one */
export function vaultApi(addr: string, token: () => string | undefined): VaultApi {
  return {
    call: async (method, path, body) => {
      const own = token();
      const response = await fetch(`${addr}/v1/${path}`, {
        method,
        headers: own === undefined ? {} : { "X-Vault-Token": own },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
    },
  };
}
