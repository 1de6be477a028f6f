/**
 * What may be lost at any time: a copy of what is known elsewhere, for those who start while elsewhere is away. Two kinds pass the same contract
 * tests: Redis Cluster, and one inside this process. Every call has a short deadline, for nobody may wait for a copy.
 */
export interface Cache {
  /** Whether the last that was heard of the server is good; a call may fail all the same. */
  readonly connected: boolean;
  /** Sets fields of a hash; all of the hash goes after `ttlMs` without another call. @throws CacheUnavailableError */
  setFields(key: string, fields: ReadonlyMap<string, Uint8Array>, ttlMs: number): Promise<void>;
  /** A hash's fields; none where there is no such hash. @throws CacheUnavailableError */
  getFields(key: string): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Ends what is under way; the cache is not used afterwards. */
  close(): Promise<void>;
}

/** The server doesn't answer, or not in time. */
export class CacheUnavailableError extends Error {
  override readonly name = "CacheUnavailableError";
  constructor(action: string, options?: ErrorOptions) {
    super(`the cache can't ${action}`, options);
  }
}
