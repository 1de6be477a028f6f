/** Lets a bounded number of snapshots stream at once; the others wait their turn. */
export class SnapshotSlots {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(slots: number) {
    this.#free = slots;
  }

  /**
   * Resolves when it is this one's turn. The slot is given back by the returned function, or when the signal aborts: a stuck reader keeps
   * no slot. Rejects with the signal's reason when it aborts before.
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      signal.removeEventListener("abort", release);
      this.#giveBack();
    };
    signal.addEventListener("abort", release);
    if (signal.aborted) release();
    signal.throwIfAborted();
    return release;
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const aborted = (): void => {
      // Not waiting any more means that it has been given a slot, which `acquire` gives back.
      if (this.#waiting.delete(resolve)) reject(signal.reason);
    };
    this.#waiting.add(resolve);
    signal.addEventListener("abort", aborted);
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", aborted);
    }
  }

  #giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free++;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
