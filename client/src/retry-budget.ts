const MOST = 20;
const PER_SUCCESS = 0.2;

/**
 * Keeps retries from multiplying the load of a server in trouble, as gRPC's retry throttling does: each failure costs one, each
 * success gives back a fifth, and below half there are no retries.
 */
export class RetryBudget {
  #left = MOST;

  /** Counts a failed try that could be repeated, and says whether it may be. */
  failed(): boolean {
    this.#left = Math.max(0, this.#left - 1);
    return this.#left >= MOST / 2;
  }

  /** Counts a successful call. */
  succeeded(): void {
    this.#left = Math.min(MOST, this.#left + PER_SUCCESS);
  }
}
