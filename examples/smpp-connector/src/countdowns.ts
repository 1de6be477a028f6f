/** Named timers that start over when started again. */
export class Countdowns<Name extends string> {
  readonly #running = new Map<Name, NodeJS.Timeout>();

  /** After `milliseconds`, calls `act`; 0 only stops the one that runs. */
  start(name: Name, milliseconds: number, act: () => void): void {
    this.stop(name);
    if (milliseconds > 0) this.#running.set(name, setTimeout(act, milliseconds));
  }

  stop(name: Name): void {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  stopAll(): void {
    for (const timer of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }
}
