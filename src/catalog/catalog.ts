import type { Position } from "@operator-management/client";
import { ErrorReason, type Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";
import { sameBytes } from "./bytes.ts";
import type { CatalogEntry } from "./entry.ts";
import { catalogBehind, foreignToken, historyChanged } from "./position-errors.ts";
import type { Revision } from "./revision.ts";
import type { Ring } from "./ring.ts";

/** A whole state of the catalog, as one snapshot of the database shows it. */
export interface LoadedCatalog {
  readonly entries: ReadonlyMap<string, CatalogEntry>;
  readonly ring: Ring;
  /** Ids of operators whose record decodes neither in their row nor in history: they can't be served. */
  readonly damaged: readonly string[];
}

/** Who brings the catalog up to date: the tail. */
export interface CatalogSource {
  /** Resolves once the catalog holds all that was committed before the call; rejects when the primary can't be asked. */
  refresh(): Promise<void>;
}

/** How long a call waits for the catalog to catch up, in milliseconds. */
const PATIENCE_MS = 2_000;

/** Every live operator, in memory, at one position of the history. Changes only by whole revisions. */
export class Catalog {
  /** Since when the primary can't be reached, so that what is here may be old; undefined while it can. */
  staleSince: Date | undefined;
  #entries = new Map<string, CatalogEntry>();
  #ring: Ring | undefined;
  #snapshot: readonly CatalogEntry[] | undefined;
  #bytes = 0;
  #source: CatalogSource | undefined;
  readonly #listeners = new Set<(revision: Revision | undefined) => void>();

  get loaded(): boolean {
    return this.#ring !== undefined;
  }

  /** The latest revisions. Another object after a reload. Throws CATALOG_NOT_LOADED. */
  get ring(): Ring {
    if (this.#ring !== undefined) return this.#ring;
    throw opsError(ErrorReason.CATALOG_NOT_LOADED, "the service has just started and is still loading: try again", {
      retryAfterMs: 1_000,
    });
  }

  /** Where in the history this state is. Throws CATALOG_NOT_LOADED. */
  get position(): Position {
    return this.ring.head;
  }

  /** How many operators there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** The encoded size of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  get(id: string): CatalogEntry | undefined {
    return this.#entries.get(id);
  }

  /** All operators by id. The same frozen array for everybody until the next revision. */
  snapshot(): readonly CatalogEntry[] {
    this.#snapshot ??= Object.freeze(this.#entries.values().toArray().sort(byId));
    return this.#snapshot;
  }

  /** Moves to the next revision, all of it in one tick. */
  apply(revision: Revision, fingerprint: Uint8Array): void {
    this.ring.push(revision, fingerprint);
    for (const { id, uid, after } of revision.changes) {
      const current = this.#entries.get(id);
      if (after !== undefined) this.#entries.set(id, after);
      else if (current?.uid === uid) this.#entries.delete(id);
      else continue;
      this.#bytes += (after?.bytes.length ?? 0) - (current?.bytes.length ?? 0);
    }
    this.#changed(revision);
  }

  /** Takes over a loaded state, all of it in one tick. */
  replace({ entries, ring }: LoadedCatalog): void {
    this.#entries = new Map(entries);
    this.#ring = ring;
    this.#bytes = entries.values().reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#changed(undefined);
  }

  /**
   * Calls `listener` after every change of state, until the returned function is called: with the revision, or without one when a loaded
   * state was taken over. It must not throw.
   */
  subscribe(listener: (revision: Revision | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Names the one who answers `refresh`. */
  follow(source: CatalogSource): void {
    this.#source = source;
  }

  /**
   * Resolves once this state holds the token's position. Throws TOKEN_FOREIGN, CATALOG_BEHIND after 2 s or when the primary can't be
   * asked, and HISTORY_CHANGED once the primary has confirmed that it has no such position; or the signal's reason.
   */
  async waitFor(token: Token, signal?: AbortSignal): Promise<void> {
    if (!sameBytes(token.store, this.position.store)) throw foreignToken();
    if (this.#holds(token)) return;
    try {
      await this.#catchUp(signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw catalogBehind(error);
    }
    if (!this.#holds(token)) throw historyChanged(token.revision);
  }

  /**
   * Resolves once this state holds all that was committed before the call. Throws DATABASE_UNAVAILABLE when the primary can't be asked,
   * CATALOG_BEHIND after 2 s, or the signal's reason.
   */
  async refresh(signal?: AbortSignal): Promise<void> {
    void this.ring; // not loaded says more than not answering
    try {
      await this.#catchUp(signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error === TIMED_OUT) throw catalogBehind(error);
      throw opsError(ErrorReason.DATABASE_UNAVAILABLE, "the database can't be asked for the newest state: try again", {
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  }

  /** Positions older than the ring can't be told from lost ones: those are taken for held. */
  #holds({ store, revision, fingerprint }: Token): boolean {
    const { ring } = this;
    if (!sameBytes(store, ring.store) || revision > ring.head.revision) return false;
    return revision < ring.floor || ring.contains(revision, fingerprint);
  }

  async #catchUp(signal: AbortSignal | undefined): Promise<void> {
    if (this.#source === undefined) throw new Error("the catalog follows nobody");
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(reject, PATIENCE_MS, TIMED_OUT);
    const aborted = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
    try {
      await Promise.race([this.#source.refresh(), ended]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    }
  }

  #changed(revision: Revision | undefined): void {
    this.#snapshot = undefined;
    for (const listener of [...this.#listeners]) listener(revision);
  }
}

const TIMED_OUT = new Error(`no answer within ${PATIENCE_MS} ms`);

function byId(a: CatalogEntry, b: CatalogEntry): number {
  return a.id < b.id ? -1 : 1;
}
