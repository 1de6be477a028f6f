import type { Logger } from "pino";
import type { Backends } from "../backends.ts";
import { openJetStreamBus } from "../backends/bus/jetstream-bus.ts";
import { InProcessCache } from "../backends/cache/in-process-cache.ts";
import { RedisCache } from "../backends/cache/redis-cache.ts";
import { passwordFromFile, passwordFromVault, type PasswordSource } from "../backends/secrets/password-source.ts";
import type { VaultKv } from "../backends/secrets/vault-kv.ts";
import { openVault } from "../backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../backends/secrets/vault-secret-store.ts";
import type { ClosingStack } from "../closing-stack.ts";
import type { ClusterConfig, PasswordPlace } from "../config.ts";
import { openClusterDatabase } from "../db/cluster-database.ts";
import { readLocalTokens } from "../local-tokens.ts";

/**
 * PostgreSQL, NATS, Redis and Vault. None of them needs to be there: each is connected to when it is needed, or as soon as it answers.
 * @throws StartError when a file that the settings name can't be used
 */
export async function openClusterBackends(
  { postgres, redis, nats, vault, localTokensFile }: ClusterConfig,
  closing: ClosingStack,
  logger: Logger,
): Promise<Backends> {
  const adminTokens = await readLocalTokens(localTokensFile);
  const kv = openVault(vault, logger);
  const secrets = new VaultSecretStore(kv);
  closing.push("the secret store", () => secrets.close());
  const database = openClusterDatabase({
    primary: postgres.url,
    replica: postgres.replicaUrl,
    password: passwordFrom(postgres.password, kv),
    logger,
  });
  closing.push("the database", () => database.close());
  const { servers, user, streams, replicas } = nats;
  const password = passwordFrom(nats.password, kv) ?? NONE;
  const bus = openJetStreamBus({ servers, user, password, streams, replicas, logger });
  closing.push("the bus", () => bus.close());
  const cache =
    redis.nodes === undefined
      ? new InProcessCache()
      : new RedisCache({
          nodes: redis.nodes,
          user: redis.user,
          password: passwordFrom(redis.password, kv) ?? NONE,
          logger,
        });
  closing.push("the cache", () => cache.close());
  const printToken = `jq -r .admin ${localTokensFile}`;
  return { database, secrets, bus, cache, busIsShared: true, adminTokens, printToken };
}

/** For servers that ask for no user either. */
const NONE: PasswordSource = { get: () => Promise.resolve(""), forget: () => undefined };

function passwordFrom(place: PasswordPlace, kv: VaultKv): PasswordSource | undefined {
  switch (place?.from) {
    case "file":
      return passwordFromFile(place.path);
    case "vault":
      return passwordFromVault(kv, place.path);
    case undefined:
      return undefined;
  }
}
