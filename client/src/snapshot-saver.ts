import { encodeSnapshot, type CatalogSnapshot } from "./snapshot-format.ts";
import { later } from "./timers.ts";

/** Where a catalog keeps its last state; `./node` has one in a file. */
export interface SnapshotStore {
  /** What was written last; undefined: nothing yet. */
  read(): Promise<Uint8Array | undefined>;
  /** Replaces what was written, as a whole or not at all. */
  write(bytes: Uint8Array): Promise<void>;
}

/** An unchanged state is written again after so long, so that it doesn't look older than it is, in milliseconds. */
const REFRESH_MS = 600_000;

/** Writes a catalog's state after it changed, not more often than every `intervalMs`. Keeps no process alive but for a write under way. */
export class SnapshotSaver {
  readonly #store: SnapshotStore;
  readonly #intervalMs: number;
  readonly #capture: () => CatalogSnapshot | undefined;
  readonly #failed: (error: Error) => void;
  #savedToken = "";
  #triedAt = -Infinity;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** @param capture what is to be written; undefined: nothing yet · @param failed is told of every write that failed */
  constructor(
    store: SnapshotStore,
    intervalMs: number,
    capture: () => CatalogSnapshot | undefined,
    failed: (error: Error) => void,
  ) {
    this.#store = store;
    this.#intervalMs = intervalMs;
    this.#capture = capture;
    this.#failed = failed;
  }

  /** The service was heard: writes what is new when its time has come. */
  noticed(token: string): void {
    if (this.#cancel !== undefined || this.#writing !== undefined || this.#closed) return;
    const due = this.#triedAt + (token === this.#savedToken ? REFRESH_MS : this.#intervalMs);
    // Nothing to wait for if it is the same: the next message asks again.
    if (token === this.#savedToken && due > performance.now()) return;
    this.#cancel = later(Math.max(0, due - performance.now()), () => {
      this.#cancel = undefined;
      this.#writing = this.#write().finally(() => (this.#writing = undefined));
    });
  }

  /** Writes what isn't written yet. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#writing;
    if (this.#capture()?.token !== this.#savedToken) await this.#write();
  }

  async #write(): Promise<void> {
    const snapshot = this.#capture();
    if (snapshot === undefined) return;
    this.#triedAt = performance.now();
    try {
      await this.#store.write(await encodeSnapshot(snapshot));
      this.#savedToken = snapshot.token;
    } catch (error) {
      this.#failed(error instanceof Error ? error : new Error("the snapshot can't be written", { cause: error }));
    }
  }
}
