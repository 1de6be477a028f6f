import { RouteIndex, type Position } from "@operator-management/client";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Revision } from "../catalog/revision.ts";

/** How long it works in one go, in milliseconds: watches and other calls go on between. */
const SLICE_MS = 10;

/** The index as it is at one position; it stays so until the reading ends. */
export interface Reading {
  readonly index: RouteIndex;
  readonly position: Position;
}

/**
 * A RouteIndex beside the catalog, brought up to date after every change of it. Small changes in the same tick; a loaded state bit by bit, and
 * nothing while somebody reads: then readers that come later wait, so that neither side starves.
 */
export class RouteTable {
  readonly #catalog: Catalog;
  readonly #index = new RouteIndex();
  /** Digests of the operators that the index holds. */
  readonly #held = new Map<string, Uint8Array>();
  /** Ids of operators that the index may hold differently from the catalog. */
  readonly #behind = new Set<string>();
  #readers = 0;
  #working = false;
  #waiting: (() => void)[] = [];
  readonly #unsubscribe: () => void;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#unsubscribe = catalog.subscribe((revision) => this.#changed(revision));
    if (catalog.loaded) this.#changed(undefined);
  }

  /** How many links it holds. */
  get links(): number {
    return this.#index.size;
  }

  /** Resolves when the index holds what the catalog holds; rejects with the signal's reason. */
  async current(signal?: AbortSignal): Promise<void> {
    while (!this.#isCurrent()) {
      signal?.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
  }

  /** Lets `work` read the index at the catalog's position, however long it takes. Rejects with the signal's reason while it has to wait. */
  async read<T>(work: (reading: Reading) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (!this.#isCurrent()) await this.current(signal);
    this.#readers++;
    try {
      return await work({ index: this.#index, position: this.#catalog.position });
    } finally {
      this.#readers--;
      this.#advance();
    }
  }

  /** Follows the catalog no longer. */
  async close(): Promise<void> {
    this.#unsubscribe();
  }

  #isCurrent(): boolean {
    return this.#catalog.loaded && this.#behind.size === 0;
  }

  #changed(revision: Revision | undefined): void {
    if (revision !== undefined) for (const { id } of revision.changes) this.#behind.add(id);
    else this.#compare();
    this.#advance();
  }

  /** After a reload most operators are as they were. */
  #compare(): void {
    for (const { id, digest } of this.#catalog.snapshot()) {
      const held = this.#held.get(id);
      if (held === undefined || !sameBytes(held, digest)) this.#behind.add(id);
    }
    for (const id of this.#held.keys()) if (this.#catalog.get(id) === undefined) this.#behind.add(id);
  }

  #advance(): void {
    if (this.#working || this.#readers > 0) return;
    const end = performance.now() + SLICE_MS;
    for (const id of this.#behind) {
      if (performance.now() >= end) {
        this.#working = true;
        setImmediate(() => {
          this.#working = false;
          this.#advance();
        });
        return;
      }
      this.#behind.delete(id);
      this.#take(id);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #take(id: string): void {
    const entry = this.#catalog.get(id);
    if (entry === undefined) {
      this.#index.remove(id);
      this.#held.delete(id);
    } else {
      this.#index.upsert(entry.operator);
      this.#held.set(id, entry.digest);
    }
  }
}
