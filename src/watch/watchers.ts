import type { Catalog } from "../catalog/catalog.ts";
import { reasonName, reasonOf } from "../rpc/errors.ts";
import { streamExpired, watchTooSlow } from "./stream-errors.ts";
import type { WatchProgress } from "./watcher.ts";

/** How long watches last, in milliseconds. */
export interface WatchLifetimes {
  /** A stream ends by itself at a random age between these two, so that new replicas get their share. */
  readonly minAge: number;
  readonly maxAge: number;
  /** A reader that doesn't take a part of a snapshot for this long loses its place. */
  readonly stall: number;
  /** How long a watch that was told to end may take to tell its client. */
  readonly grace: number;
}

export const WATCH_LIFETIMES: WatchLifetimes = {
  minAge: 30 * 60_000,
  maxAge: 60 * 60_000,
  stall: 30_000,
  grace: 2_000,
};

/** One open watch. */
export interface OpenWatch {
  /** Aborts with the typed error that ends the stream. */
  readonly signal: AbortSignal;
  readonly progress: WatchProgress;
  /** To be called around each message that is handed to the transport. */
  handingOver(): void;
  handedOver(): void;
  /** The watch has ended. */
  close(error: unknown): void;
}

/**
 * All open watches of this process. A reader that doesn't read leaves its watch suspended in a `yield`, where it can't notice anything:
 * this does, and resets the transport's stream once the watch fell off the ring, or was told to end and didn't.
 */
export class Watchers {
  /** How many ended, by the reason's name, or `CANCELLED` when the client went away. */
  readonly ended = new Map<string, number>();
  readonly #catalog: Catalog;
  readonly #lifetimes: WatchLifetimes;
  readonly #open = new Set<Watch>();

  constructor(catalog: Catalog, lifetimes: WatchLifetimes = WATCH_LIFETIMES) {
    this.#catalog = catalog;
    this.#lifetimes = lifetimes;
    catalog.subscribe(() => this.#endFallen());
  }

  get size(): number {
    return this.#open.size;
  }

  /** Registers a watch. `reset` cuts off its transport. */
  open(call: AbortSignal, reset: () => void): OpenWatch {
    const watch = new Watch(call, reset, this.#lifetimes, (error) => {
      this.#open.delete(watch);
      const reason = reasonOf(error);
      const name = reason === undefined ? "CANCELLED" : reasonName(reason);
      this.ended.set(name, (this.ended.get(name) ?? 0) + 1);
    });
    this.#open.add(watch);
    return watch;
  }

  /** Ends all of them with this error. */
  closeAll(error: Error): void {
    for (const watch of this.#open) watch.end(error);
  }

  #endFallen(): void {
    const { floor } = this.#catalog.ring;
    for (const watch of this.#open) watch.endIfBehind(floor);
  }
}

class Watch implements OpenWatch {
  readonly progress: WatchProgress = { cursor: undefined, inSnapshot: false };
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #lifetimes: WatchLifetimes;
  readonly #reset: () => void;
  readonly #closed: (error: unknown) => void;
  readonly #expiry: NodeJS.Timeout;
  #stall: NodeJS.Timeout | undefined;
  #lastWords: NodeJS.Timeout | undefined;
  #suspended = false;
  #isClosed = false;

  constructor(call: AbortSignal, reset: () => void, lifetimes: WatchLifetimes, closed: (error: unknown) => void) {
    this.signal = AbortSignal.any([call, this.#controller.signal]);
    this.#reset = reset;
    this.#lifetimes = lifetimes;
    this.#closed = closed;
    const { minAge, maxAge } = lifetimes;
    const age = minAge + Math.random() * (maxAge - minAge);
    this.#expiry = setTimeout(() => this.end(streamExpired()), age).unref();
  }

  handingOver(): void {
    this.#suspended = true;
    if (this.progress.inSnapshot)
      this.#stall = setTimeout(() => this.end(watchTooSlow()), this.#lifetimes.stall).unref();
  }

  handedOver(): void {
    this.#suspended = false;
    clearTimeout(this.#stall);
  }

  close(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of [this.#expiry, this.#stall, this.#lastWords]) clearTimeout(timer);
    this.#closed(error);
  }

  endIfBehind(floor: bigint): void {
    const { cursor } = this.progress;
    if (this.#suspended && cursor !== undefined && cursor < floor) this.end(watchTooSlow());
  }

  end(error: Error): void {
    if (this.#isClosed || this.#controller.signal.aborted) return;
    this.#controller.abort(error);
    this.#lastWords = setTimeout(() => {
      this.close(error);
      this.#reset();
    }, this.#lifetimes.grace).unref();
  }
}
