/** Typed events of one object; `Events` maps each name to what its listeners get. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  readonly #onThrow: (name: keyof Events, error: unknown) => void;

  /** `onThrow` gets what listeners throw: the others are called all the same. */
  constructor(onThrow: (name: keyof Events, error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // A function of its own, so that the same listener added twice is called twice and removed one by one.
    const entry = (value: Events[Name]): void => listener(value);
    listeners.add(entry);
    return () => listeners.delete(entry);
  }

  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (value: Events[Name]) => void)(value);
      } catch (error) {
        this.#onThrow(name, error);
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
