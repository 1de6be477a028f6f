/**
 * What happened lately, in slots of time: old ones go as new ones come, so that it takes no more memory than `keep` slots. Slots in which
 * nothing happened take none. A clock that is set back or forward costs what it skips.
 */
export class RollingSlots<T> {
  readonly #slots = new Map<number, T>();
  readonly #slotMs: number;
  readonly #keep: number;
  readonly #make: () => T;

  /** @param slotMs length of a slot · @param keep how many there are, the current one included */
  constructor(slotMs: number, keep: number, make: () => T) {
    this.#slotMs = slotMs;
    this.#keep = keep;
    this.#make = make;
  }

  /** The slot of a moment, to be added to; undefined when it is no longer kept. */
  at(time: number, now: number): T | undefined {
    const current = this.#number(now);
    const number = this.#number(time);
    if (number > current || number <= current - this.#keep) return undefined;
    let slot = this.#slots.get(number);
    if (slot === undefined) {
      for (const key of this.#slots.keys()) if (key > current || key <= current - this.#keep) this.#slots.delete(key);
      slot = this.#make();
      this.#slots.set(number, slot);
    }
    return slot;
  }

  /** The slots that are `from` to `to` slots old, both included; the current one is 0 slots old. */
  *aged(from: number, to: number, now: number): Generator<T> {
    const current = this.#number(now);
    for (const [key, slot] of this.#slots) if (current - key >= from && current - key <= to) yield slot;
  }

  #number(time: number): number {
    return Math.floor(time / this.#slotMs);
  }
}
