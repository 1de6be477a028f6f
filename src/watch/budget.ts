/** Gives a share back. Calling it again changes nothing. */
export type GiveBack = () => void;

interface Waiting {
  readonly share: number;
  /** Lets it go on with its share. */
  go(): void;
}

/** A bounded amount of something that watches take shares of, first come, first served. */
export class Budget {
  readonly #total: number;
  readonly #maxHoldMs: number | undefined;
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();
  #free: number;

  /** After `maxHoldMs` a share no longer counts, whether or not it was given back. */
  constructor(total: number, maxHoldMs?: number) {
    this.#total = total;
    this.#free = total;
    this.#maxHoldMs = maxHoldMs;
  }

  /**
   * Resolves when it is this one's turn and so much is free; to all of it when more is asked for, so that nothing is too large. The share
   * is given back by the returned function, or when the signal aborts: a stuck reader keeps none. Rejects with the signal's reason when
   * it aborts before.
   */
  async take(amount: number, signal: AbortSignal): Promise<GiveBack> {
    signal.throwIfAborted();
    const share = Math.min(amount, this.#total);
    if (this.#waiting.size > 0 || share > this.#free) await this.#turn(share, signal);
    else this.#free -= share;
    let timer: NodeJS.Timeout | undefined;
    let held = true;
    const giveBack = (): void => {
      if (!held) return;
      held = false;
      clearTimeout(timer);
      signal.removeEventListener("abort", giveBack);
      this.#free += share;
      this.#letGo();
    };
    if (this.#maxHoldMs !== undefined) timer = setTimeout(giveBack, this.#maxHoldMs).unref();
    signal.addEventListener("abort", giveBack);
    if (signal.aborted) giveBack();
    signal.throwIfAborted();
    return giveBack;
  }

  async #turn(share: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { share, go: resolve };
    const aborted = (): void => {
      // Not waiting any more means that it has been given its share, which `take` gives back.
      if (!this.#waiting.delete(waiting)) return;
      reject(signal.reason);
      this.#letGo();
    };
    this.#waiting.add(waiting);
    signal.addEventListener("abort", aborted);
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", aborted);
    }
  }

  /** As many as there is enough for; nobody overtakes the first one, however much that one needs. */
  #letGo(): void {
    for (const next of this.#waiting) {
      if (next.share > this.#free) return;
      this.#waiting.delete(next);
      this.#free -= next.share;
      next.go();
    }
  }
}
