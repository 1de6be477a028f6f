import { later } from "./timers.ts";

const MISSED_BOOKMARKS = 3;

/** Keeps track of how old the configuration may be, and tells when it becomes stale or fresh again. */
export class Freshness {
  #heardAt: number | undefined;
  #connected = false;
  #serverStaleSince: Date | undefined;
  #silentSince: Date | undefined;
  #cancel = (): void => {};
  readonly #toleratedMs: number;
  readonly #on: { stale(since: Date): void; fresh(): void };

  constructor(bookmarkIntervalMs: number, on: { stale(since: Date): void; fresh(): void }) {
    this.#toleratedMs = MISSED_BOOKMARKS * bookmarkIntervalMs;
    this.#on = on;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get ageMs(): number | undefined {
    return this.#heardAt === undefined ? undefined : Math.max(0, Date.now() - this.#heardAt);
  }

  get staleSince(): Date | undefined {
    const [a, b] = [this.#serverStaleSince, this.#silentSince];
    return a === undefined || (b !== undefined && b < a) ? b : a;
  }

  heard(): void {
    this.#heardAt = Date.now();
    this.#connected = true;
    this.#cancel();
    this.#cancel = later(this.#toleratedMs, () => this.#becomeSilent());
    this.#update(() => (this.#silentSince = undefined));
  }

  /** What is held is of that time: changes since are missing until the server is heard. */
  restored(time: Date): void {
    this.#heardAt = Math.min(time.getTime(), Date.now());
    this.#update(() => (this.#silentSince = time));
  }

  serverStale(since: Date | undefined): void {
    this.#update(() => (this.#serverStaleSince = since));
  }

  lost(): void {
    this.#connected = false;
  }

  close(): void {
    this.#connected = false;
    this.#cancel();
  }

  #becomeSilent(): void {
    this.#update(() => (this.#silentSince = new Date(this.#heardAt ?? Date.now())));
  }

  #update(change: () => void): void {
    const before = this.staleSince;
    change();
    const after = this.staleSince;
    if (before === undefined && after !== undefined) this.#on.stale(after);
    if (before !== undefined && after === undefined) this.#on.fresh();
  }
}
