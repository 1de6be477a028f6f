import { VaultError, withoutSecrets } from "./vault-error.ts";
import type { VaultTokens } from "./vault-tokens.ts";
import { newNodeVault, type NodeVault } from "./vault-transport.ts";

/** For a whole call: the token, the request, and a second one after a 403. */
const DEADLINE_MS = 3_000;

/**
 * Calls to Vault, each with a deadline and a token. A 403 is repeated once with another token, if the first one is dead: that request was
 * not carried out. Nothing else is repeated, as it may have been.
 */
export class VaultClient {
  readonly #addr: string;
  /** For errors: an address may hold a password. */
  readonly #host: string;
  readonly #tokens: VaultTokens;
  readonly #closing = new AbortController();
  #vault: { readonly token: string; readonly client: NodeVault } | undefined;

  /** @param addr such as `https://vault.example.com:8200` */
  constructor(addr: string, tokens: VaultTokens) {
    this.#addr = addr;
    this.#host = new URL(addr).host;
    this.#tokens = tokens;
  }

  /** @param path escaped @throws VaultError, the signal's reason */
  read(path: string, signal: AbortSignal): Promise<unknown> {
    return this.#call(signal, (vault, limit) => vault.read(path, { signal: limit }));
  }

  /** @param path escaped @throws VaultError, after which it may be written or not; the signal's reason */
  write(path: string, data: unknown, signal: AbortSignal): Promise<unknown> {
    return this.#call(signal, (vault, limit) => vault.write(path, data, { signal: limit }));
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort();
    this.#tokens.close();
  }

  async #call(signal: AbortSignal, send: Send): Promise<unknown> {
    signal.throwIfAborted();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS), this.#closing.signal]);
    try {
      return await this.#withToken(send, limit);
    } catch (error) {
      signal.throwIfAborted();
      const { message, status, reasons } = withoutSecrets(error);
      throw new VaultError(`Vault (${this.#host}): ${message}`, status === undefined ? undefined : { status, reasons });
    }
  }

  async #withToken(send: Send, limit: AbortSignal): Promise<unknown> {
    const token = await this.#tokens.current(limit);
    try {
      return await send(this.#vaultFor(token), limit);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return await send(this.#vaultFor(await this.#tokenInsteadOf(token, limit)), limit);
    }
  }

  /** @throws VaultError that says whether the policy or the token is at fault: Vault's own answer is the same */
  async #tokenInsteadOf(refused: string, limit: AbortSignal): Promise<string> {
    const current = await this.#tokens.current(limit);
    if (current !== refused) return current;
    if (await this.#knows(refused, limit)) {
      throw forbidden("permission denied; the token is good, but its policies don't allow this");
    }
    const other = await this.#tokens.insteadOf(refused, limit);
    if (other === undefined) throw forbidden("the token is revoked or has expired, and no other one has come");
    return other;
  }

  async #knows(token: string, limit: AbortSignal): Promise<boolean> {
    try {
      await this.#vaultFor(token).read("auth/token/lookup-self", { signal: limit });
      return true;
    } catch (error) {
      if (isForbidden(error)) return false;
      throw error;
    }
  }

  #vaultFor(token: string): NodeVault {
    if (this.#vault?.token !== token) this.#vault = { token, client: newNodeVault(this.#addr, token) };
    return this.#vault.client;
  }
}

type Send = (vault: NodeVault, limit: AbortSignal) => Promise<unknown>;

function isForbidden(error: unknown): boolean {
  return error instanceof VaultError && error.status === 403;
}

function forbidden(text: string): VaultError {
  return new VaultError(text, { status: 403, reasons: ["permission denied"] });
}
