/** Actions that come later, until it is closed. */
export class Delays {
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Calls `act` after `milliseconds`, and at once for 0. */
  later(milliseconds: number, act: () => void): void {
    if (milliseconds <= 0) return act();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, milliseconds);
    this.#timers.add(timer);
  }

  /** What is still to come never comes. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
