import type { HealthClock } from "../../src/index.ts";

/** A clock that stands still until it is moved; what is due then is done, in order. */
export class StandingClock implements HealthClock {
  #now = Date.parse("2030-01-31T12:00:00Z");
  readonly #waiting = new Set<{ readonly due: number; readonly action: () => void }>();

  readonly now = (): number => this.#now;

  readonly later = (ms: number, action: () => void): (() => void) => {
    const entry = { due: this.#now + ms, action };
    this.#waiting.add(entry);
    return () => this.#waiting.delete(entry);
  };

  /** In milliseconds; backwards too. */
  move(ms: number): void {
    this.#now += ms;
    for (const entry of [...this.#waiting].sort((a, b) => a.due - b.due)) {
      if (entry.due > this.#now || !this.#waiting.delete(entry)) continue;
      entry.action();
    }
  }
}
