import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";

const MAX_ENTRIES = 2_000;
const KEPT_MS = 5 * 60_000;

/**
 * Secrets read lately, by their immutable credential id, so that connectors can start while the secret store is briefly away. Whether
 * a caller may have one is decided before it is looked up. Small and short-lived on purpose: it holds passwords in the clear.
 */
export class SecretCache {
  readonly #now: () => Date;
  readonly #limits: { readonly entries: number; readonly keptMs: number };
  /** In the order of expiry: an entry is never refreshed, as its secret never changes. */
  readonly #entries = new Map<string, { readonly secret: ConnectionSecret; readonly expires: number }>();

  constructor(now: () => Date, limits = { entries: MAX_ENTRIES, keptMs: KEPT_MS }) {
    this.#now = now;
    this.#limits = limits;
  }

  get(credentialId: string): ConnectionSecret | undefined {
    this.#dropExpired();
    return this.#entries.get(credentialId)?.secret;
  }

  set(credentialId: string, secret: ConnectionSecret): void {
    this.#dropExpired();
    this.#entries.delete(credentialId);
    if (this.#entries.size >= this.#limits.entries) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(credentialId, { secret, expires: this.#now().getTime() + this.#limits.keptMs });
  }

  #dropExpired(): void {
    const now = this.#now().getTime();
    for (const [id, { expires }] of this.#entries) {
      if (expires > now) return;
      this.#entries.delete(id);
    }
  }
}
