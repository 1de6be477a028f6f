import { CacheUnavailableError, type Cache } from "./cache.ts";

interface Hash {
  readonly fields: Map<string, Uint8Array>;
  expires: number;
}

/** A cache inside this process. */
export class InProcessCache implements Cache {
  readonly #hashes = new Map<string, Hash>();
  readonly #now: () => number;
  #closed = false;

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
  }

  get connected(): boolean {
    return !this.#closed;
  }

  async setFields(key: string, fields: ReadonlyMap<string, Uint8Array>, ttlMs: number): Promise<void> {
    this.#mustBeOpen("set fields");
    this.#forgetExpired();
    const hash = this.#hashes.get(key) ?? { fields: new Map<string, Uint8Array>(), expires: 0 };
    for (const [field, value] of fields) hash.fields.set(field, value.slice());
    hash.expires = this.#now() + ttlMs;
    // At the end again: the first are the next to expire.
    this.#hashes.delete(key);
    this.#hashes.set(key, hash);
  }

  async getFields(key: string): Promise<ReadonlyMap<string, Uint8Array>> {
    this.#mustBeOpen("get fields");
    this.#forgetExpired();
    return new Map(this.#hashes.get(key)?.fields);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#hashes.clear();
  }

  #mustBeOpen(action: string): void {
    if (this.#closed) throw new CacheUnavailableError(`${action}: it is closed`);
  }

  #forgetExpired(): void {
    const now = this.#now();
    for (const [key, { expires }] of this.#hashes) if (expires <= now) this.#hashes.delete(key);
  }
}
