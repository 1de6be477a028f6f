/** Whoever opens something pushes its close here; they run last opened first, also after a failed start. */
export class ClosingStack {
  readonly #closers: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];

  push(name: string, close: () => Promise<void> | void): void {
    this.#closers.push({ name, close });
  }

  /** Closes everything once, even if some of it fails. @throws AggregateError naming what failed */
  async close(): Promise<void> {
    const failures: Error[] = [];
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer.close();
      } catch (cause) {
        failures.push(new Error(`closing ${closer.name} failed`, { cause }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join("; "));
  }
}
