import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { unlessAborted } from "../unless-aborted.ts";
import { VaultError } from "./vault-error.ts";
import { isToken, type VaultTokens } from "./vault-tokens.ts";

const LOOK_AGAIN_MS = 50;
const PATIENCE_MS = 2_000;

/**
 * The token that an agent keeps in a file (its sink). Read for every use: it is 30 bytes, the agent replaces the file, and watching fails
 * silently where the folder is a mount that changes as a whole.
 *
 * An agent learns that its token is dead when it next renews it, so its successor comes a little later: whoever is refused waits for
 * that, up to two seconds after the first refusal. After these everybody fails at once, lest a token that nobody replaces makes each
 * call slow. Agents renew at about two thirds of a token's life: up to a life of 3 s no call fails when a token is revoked out of turn; with
 * a longer one calls fail until the agent has noticed. When the next token is in the file before the old one is revoked, none ever fails.
 */
export class VaultTokenFile implements VaultTokens {
  readonly #file: string;
  readonly #closing = new AbortController();
  #awaited: { readonly dead: string; readonly other: Promise<string | undefined> } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async current(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const token = await this.#read();
    if (token === undefined) throw new VaultError(`no token in ${this.#file} yet`);
    return token;
  }

  insteadOf(dead: string, signal: AbortSignal): Promise<string | undefined> {
    if (this.#awaited?.dead !== dead) this.#awaited = { dead, other: this.#otherThan(dead) };
    return unlessAborted(this.#awaited.other, signal);
  }

  close(): void {
    this.#closing.abort();
  }

  async #otherThan(dead: string): Promise<string | undefined> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.#closing.signal.aborted) {
      const token = await this.#read();
      if (token !== undefined && token !== dead) return token;
      if (performance.now() >= end) return undefined;
      await setTimeout(LOOK_AGAIN_MS);
    }
    return undefined;
  }

  /** undefined while the agent has written none, or none that we may read: which of these, its own log says. */
  async #read(): Promise<string | undefined> {
    try {
      const token = (await readFile(this.#file, "utf8")).trim();
      return isToken(token) ? token : undefined;
    } catch {
      return undefined;
    }
  }
}
