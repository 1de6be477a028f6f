import nodeVault from "node-vault";
import { VaultError, withoutSecrets, refusal } from "./vault-error.ts";

/** node-vault for one token, or for none (""): it keeps the token of the first request, so another token needs another one. */
export type NodeVault = nodeVault.client;

/**
 * node-vault with what it would take from the environment given explicitly: VAULT_ADDR, VAULT_TOKEN, VAULT_PREFIX, VAULT_NAMESPACE,
 * VAULT_SKIP_VERIFY and DEBUG, with which it prints secrets.
 * @param addr such as `https://vault.example.com:8200`
 */
export function newNodeVault(addr: string, token: string): NodeVault {
  const vault = nodeVault({
    endpoint: addr,
    debug: () => {},
    // In place of axios, which can't be aborted, puts the token into its errors, and obeys HTTP_PROXY.
    "request-promise": { defaults: () => send },
  });
  // Empty values given as options count as not given.
  return Object.assign(vault, { token, pathPrefix: "", namespace: "" });
}

interface Request {
  readonly uri: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
}

interface Reply {
  readonly statusCode: number;
  readonly body: unknown;
  readonly request: { readonly path: string };
}

/** @throws VaultError unless the answer is 200 or 204; never the abort's reason */
async function send({ uri, method, headers, json, signal }: Request): Promise<Reply> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(uri, {
      method,
      headers: json === undefined ? headers : { ...headers, "content-type": "application/json" },
      body: json === undefined ? null : JSON.stringify(json),
      // It would carry the token to wherever the answer points.
      redirect: "manual",
      signal,
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw withoutSecrets(error);
  }
  const body = parse(text);
  if (status !== 200 && status !== 204) throw refusal(status, body);
  if (status === 200 && body === undefined) throw new VaultError("answered something else than JSON: is it Vault?");
  // node-vault takes any answer for a good one if this holds "sys/health", which is where a secret may be.
  return { statusCode: status, body, request: { path: "" } };
}

/** undefined for what isn't JSON; the parser's own error would quote it. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
