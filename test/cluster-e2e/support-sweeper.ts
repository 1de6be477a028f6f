import { pino } from "pino";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import type { SweepDeps } from "../../src/credentials/sweep.ts";
import { credentialsInUse } from "../../src/fleet/credentials-in-use.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { opened } from "../db/opened-database.ts";

/** What a pod's sweep works with, connections of its own included, on a clock of the test's. */
export function openSweeper(
  { postgres, vault }: Pick<Cluster, "postgres" | "vault">,
  vaultAddr: string,
  now: () => Date,
): AsyncDisposable & { readonly deps: SweepDeps } {
  const database = opened({ primary: postgres.serviceUrl });
  const login = { tokenFile: vault.tokenFile };
  const secrets = new VaultSecretStore(
    openVault({ addr: vaultAddr, mount: "secret", login }, pino({ enabled: false })),
  );
  const { db } = database;
  return {
    deps: { db, secrets, now, credentialsInUse: () => credentialsInUse(db, new Fleet(now)) },
    [Symbol.asyncDispose]: async () => {
      await secrets.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
