import type { Bus } from "./backends/bus/bus.ts";
import type { Cache } from "./backends/cache/cache.ts";
import type { SecretStore } from "./backends/secrets/secret-store.ts";
import type { OpenDatabase } from "./db/db.ts";
import type { LocalToken } from "./rpc/local-identity.ts";

/** What a profile brings: the servers behind the service, or what stands in for them. */
export interface Backends {
  readonly database: OpenDatabase;
  readonly secrets: SecretStore;
  readonly bus: Bus;
  readonly cache: Cache;
  /** Whether anybody else reads the bus: then changes are relayed to it. */
  readonly busIsShared: boolean;
  /** Who may call as an admin. */
  readonly adminTokens: readonly LocalToken[];
  /** Shell words that print an admin's token. */
  readonly printToken: string;
}
