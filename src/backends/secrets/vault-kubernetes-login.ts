import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { unlessAborted } from "../unless-aborted.ts";
import { VaultError, withoutSecrets } from "./vault-error.ts";
import { vaultPath } from "./vault-path.ts";
import { isToken, type VaultTokens } from "./vault-tokens.ts";
import { newNodeVault } from "./vault-transport.ts";

const LOGIN_MS = 3_000;
/** The part of a lease after which a new token is fetched; the rest is for doing it while Vault is away. */
const RENEW_AFTER = 2 / 3;
/** Between attempts to get a new token while the old one is good. */
const TRY_AGAIN_MS = 5_000;

/** How to log in: as which role, at which mount of the kubernetes method, with the ServiceAccount's token of which file. */
export interface KubernetesRole {
  readonly role: string;
  readonly authMount: string;
  readonly jwtFile: string;
}

/** Times are milliseconds of the monotonic clock. */
interface Lease {
  readonly token: string;
  readonly renewAfter: number;
  readonly ends: number;
}

/**
 * Tokens from logins by ServiceAccount, one at a time for all who wait. Before a lease ends another login replaces the token: that also
 * follows changes of the role, and works where a token has reached its longest life. The JWT is read for each login, as Kubernetes
 * replaces it.
 */
export class VaultKubernetesLogin implements VaultTokens {
  readonly #addr: string;
  readonly #role: KubernetesRole;
  readonly #logger: Pick<Logger, "warn">;
  readonly #closing = new AbortController();
  #lease: Lease | undefined;
  #login: Promise<Lease> | undefined;
  #notBefore = 0;

  constructor(addr: string, role: KubernetesRole, logger: Pick<Logger, "warn">) {
    this.#addr = addr;
    this.#role = role;
    this.#logger = logger;
  }

  async current(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const now = performance.now();
    if (this.#lease === undefined || now >= this.#lease.ends) return this.#newToken(signal);
    if (now >= this.#lease.renewAfter && now >= this.#notBefore) this.#renew();
    return this.#lease.token;
  }

  async insteadOf(dead: string, signal: AbortSignal): Promise<string> {
    if (this.#lease !== undefined && this.#lease.token !== dead) return this.#lease.token;
    return this.#newToken(signal);
  }

  close(): void {
    this.#closing.abort();
  }

  async #newToken(signal: AbortSignal): Promise<string> {
    if (this.#login !== undefined) {
      try {
        return (await unlessAborted(this.#login, signal)).token;
      } catch {
        // It began earlier, perhaps while Vault was away: its failure says nothing about now.
        signal.throwIfAborted();
      }
    }
    return (await unlessAborted(this.#logIn(), signal)).token;
  }

  /** In the background: the old token is good for a while. */
  #renew(): void {
    this.#notBefore = performance.now() + TRY_AGAIN_MS;
    this.#logIn().catch((error: unknown) => {
      if (this.#closing.signal.aborted) return;
      this.#logger.warn({ err: error }, "no new token for Vault; the old one is used until it ends");
    });
  }

  #logIn(): Promise<Lease> {
    this.#login ??= this.#fetchLease()
      .then((lease) => (this.#lease = lease))
      .finally(() => (this.#login = undefined));
    return this.#login;
  }

  /** @throws VaultError */
  async #fetchLease(): Promise<Lease> {
    const asked = performance.now();
    const limit = AbortSignal.any([AbortSignal.timeout(LOGIN_MS), this.#closing.signal]);
    let answer: unknown;
    try {
      answer = await newNodeVault(this.#addr, "").kubernetesLogin({
        mount_point: vaultPath(this.#role.authMount),
        role: this.#role.role,
        jwt: await this.#readJwt(),
        requestOptions: { signal: limit },
      });
    } catch (error) {
      const { message, status, reasons } = withoutSecrets(error);
      const answered = status === undefined ? undefined : { status, reasons };
      throw new VaultError(`gives no token to the role ${this.#role.role}: ${message}`, answered);
    }
    const { client_token: token, lease_duration: seconds } = (answer as LoginAnswer).auth ?? {};
    if (typeof token !== "string" || !isToken(token)) throw new VaultError("answered a login without a token");
    // 0 means without an end.
    const ms = typeof seconds === "number" && seconds > 0 ? seconds * 1_000 : Infinity;
    return { token, renewAfter: asked + ms * RENEW_AFTER, ends: asked + ms };
  }

  async #readJwt(): Promise<string> {
    const { jwtFile } = this.#role;
    let jwt = "";
    try {
      jwt = (await readFile(jwtFile, "utf8")).trim();
    } catch {
      // As with an empty file: the text below says where to look.
    }
    if (jwt === "") throw new VaultError(`the ServiceAccount's token can't be read from ${jwtFile}`);
    return jwt;
  }
}

interface LoginAnswer {
  readonly auth?: { readonly client_token?: unknown; readonly lease_duration?: unknown };
}
