import type { ClusterConfig } from "./config.ts";
import { onDatabase } from "./database-command.ts";
import { grantToService } from "./db/grants.ts";
import { migrateDatabase } from "./db/migrate.ts";

export interface MigrateOptions {
  /** The role that services connect as. */
  readonly serviceRole: string;
  readonly print: (text: string) => void;
}

/**
 * Brings the cluster's database to this release's schema and gives the service's role what it needs. Again, or two at once: no harm. Services of
 * an older release go on running, unless a migration is marked as breaking.
 * @throws StartError that says what to do; then nothing was changed
 */
export async function migrateCommand(
  config: Pick<ClusterConfig, "postgres">,
  { serviceRole, print }: MigrateOptions,
): Promise<void> {
  await onDatabase(config, "migrate", async (db) => {
    let grants: string[] = [];
    const applied = await migrateDatabase(db, {
      alsoDo: async (tx) => {
        grants = await grantToService(tx, serviceRole);
      },
    });
    for (const { tag, breaking } of applied) {
      print(`applied ${tag}${breaking === undefined ? "" : ` (older releases can't run any more: ${breaking})`}\n`);
    }
    if (applied.length === 0) print("the schema is up to date\n");
    for (const line of grants) print(`${serviceRole} on ${line}\n`);
  });
}
