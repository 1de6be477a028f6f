/** How a Flusher works; the time is in milliseconds. */
export interface FlusherOptions {
  /** Writes what has gathered; what it could not write it keeps, and rejects. */
  readonly flush: () => Promise<void>;
  /** The shortest time between two flushes. */
  readonly intervalMs: number;
  /** Told of every flush that failed; it is repeated after the interval. */
  readonly onError: (error: unknown) => void;
}

/** Lets writes gather: flushes within the interval after `wake`, never two at once, and once more on close. */
export class Flusher {
  readonly #options: FlusherOptions;
  #timer: NodeJS.Timeout | undefined;
  #lastFlush: Promise<boolean> = Promise.resolve(true);
  #closed = false;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  /** There is something to flush. */
  wake(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#next().then((flushed) => flushed || this.wake());
    }, this.#options.intervalMs);
    this.#timer.unref();
  }

  /** Flushes a last time; true if that succeeded. */
  close(): Promise<boolean> {
    this.#closed = true;
    clearTimeout(this.#timer);
    return this.#next();
  }

  #next(): Promise<boolean> {
    this.#lastFlush = this.#lastFlush.then(() => this.#flush());
    return this.#lastFlush;
  }

  async #flush(): Promise<boolean> {
    try {
      await this.#options.flush();
      return true;
    } catch (error) {
      this.#options.onError(error);
      return false;
    }
  }
}
