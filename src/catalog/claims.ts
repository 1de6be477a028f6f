import { catalogBehind } from "./position-errors.ts";

/** Hashes per second that may be spent on claims that turn out wrong: some 5 % of a core. */
const HASHES_PER_SECOND = 20_000;
const MAX_REFUTED = 1_000;

/**
 * Positions that callers claim to be in a ring where nothing is known of them yet. To refute one may take as many hashes as the ring has
 * revisions: each is refuted once, and not too many at a time. Claims that hold cost nothing, as they make others cheaper.
 */
export class Claims {
  /** The oldest first. What was refuted once stays so: a ring only grows. */
  readonly #refuted = new Set<string>();
  readonly #now: () => number;
  #left = HASHES_PER_SECOND;
  #refilled: number;

  /** `now` is in milliseconds, from anywhere. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#refilled = now();
  }

  /** What `prove` finds, or found before. Throws CATALOG_BEHIND when it may not be asked now. */
  check(
    revision: bigint,
    fingerprint: Uint8Array,
    prove: () => { readonly holds: boolean; readonly hashes: number },
  ): boolean {
    const claim = `${revision}/${Buffer.from(fingerprint).toString("base64")}`;
    if (this.#refuted.has(claim)) return false;
    this.#refill();
    if (this.#left <= 0) throw catalogBehind(new Error("too many positions were claimed that are not in this history"));
    const { holds, hashes } = prove();
    if (!holds) this.#refute(claim, hashes);
    return holds;
  }

  #refute(claim: string, hashes: number): void {
    this.#left -= hashes;
    this.#refuted.add(claim);
    const [oldest] = this.#refuted;
    if (this.#refuted.size > MAX_REFUTED && oldest !== undefined) this.#refuted.delete(oldest);
  }

  #refill(): void {
    const now = this.#now();
    this.#left = Math.min(HASHES_PER_SECOND, this.#left + ((now - this.#refilled) / 1_000) * HASHES_PER_SECOND);
    this.#refilled = now;
  }
}
