import type { MeshClient } from "./clients.ts";
import type { Logger } from "./logger.ts";
import type { ResyncReason } from "./reconnect.ts";
import type { Revision } from "./revision.ts";
import type { SnapshotStore } from "./snapshot-saver.ts";

/** What a catalog needs; all but `client` is optional. */
export interface CatalogOptions {
  /** Calls of the mesh's service. */
  readonly client: MeshClient;
  /** Which operators to hold, an AIP-160 filter as in ListOperators. Default: all. */
  readonly filter?: string;
  /** Longest time between two messages of the server, in milliseconds, 1,000 to 60,000. Default: 10,000. */
  readonly bookmarkIntervalMs?: number;
  /** Where the last state is kept, to start from when the service is away. */
  readonly snapshot?: {
    readonly store: SnapshotStore;
    /** Least time between two writes, in milliseconds. Default: 30,000. */
    readonly intervalMs?: number;
  };
  /** A state to start from when the service is away and there is no snapshot: what `OperatorCatalog.snapshot` gave once. */
  readonly bootstrap?: Uint8Array;
  /** How `start` waits for the first configuration. */
  readonly ready?: {
    /** In milliseconds. Default: 10,000. */
    readonly timeoutMs?: number;
    /**
     * `reject` (the default): `start` rejects with CatalogError NOT_READY, at once when the server refuses for a reason that only a
     * human can end, and leaves nothing running. With a snapshot or a bootstrap it resolves with that instead, marked stale. `continue`: it resolves with an empty catalog that goes on connecting.
     */
    readonly otherwise?: "reject" | "continue";
  };
  /** Closes the catalog when it aborts. */
  readonly signal?: AbortSignal;
  /** Where connects, losses and listeners' errors are reported. */
  readonly logger?: Logger;
}

/** How a catalog stands; a copy. */
export interface CatalogStatus {
  /**
   * Where the configuration came from; `none` before there is one. `snapshot` and `bootstrap` until the service is heard: it is stale then,
   * and the watch goes on from it.
   */
  readonly source: "none" | "live" | "snapshot" | "bootstrap";
  /** Whether the server is being heard right now. */
  readonly connected: boolean;
  /** The position of what is held; empty before the first configuration. */
  readonly token: string;
  /** Milliseconds since the server last confirmed the configuration; absent before the first one. */
  readonly configAgeMs?: number;
  /** Since when changes may be missing: the server can't reach its database, or three bookmarks didn't come. */
  readonly staleSince?: Date;
  /** Why the stored state wasn't used, or can't be written. */
  readonly snapshotError?: Error;
  /** What ended the last connection; absent once the server is heard again. */
  readonly lastError?: Error;
}

/** A catalog's events, and what their listeners get. */
export interface CatalogEvents {
  /** The first configuration is complete, or the service is away and there is a stored one. */
  readonly ready: { readonly token: string };
  /** Something changed; what `changes()` yields, without its merging. */
  readonly change: Revision;
  /** From now on changes may be missing. */
  readonly stale: { readonly since: Date };
  /** The configuration is current again. */
  readonly fresh: { readonly token: string };
  /** The configuration was fetched anew and replaced; the differences are the next `change`. */
  readonly resync: { readonly token: string; readonly reason: ResyncReason };
  /** Only a human can end it: access refused, a wrong filter, a listener that throws. The catalog goes on trying. */
  readonly error: Error;
}
