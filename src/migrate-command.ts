import { onDatabase, type OwnedDatabase } from "./database-command.ts";
import { grantToService } from "./db/grants.ts";
import { migrateDatabase } from "./db/migrate.ts";

export interface MigrateOptions extends OwnedDatabase {
  /** The role that services connect as; ops_service by default. */
  readonly serviceRole?: string | undefined;
  readonly print: (text: string) => void;
}

/**
 * Brings the cluster's database to this release's schema and gives the service's role what it needs. Again, or two at once: no harm. Services of
 * an older release go on running, unless a migration is marked as breaking.
 * @throws StartError that says what to do; then nothing was changed
 */
export async function migrateCommand({
  serviceRole = "ops_service",
  print,
  ...database
}: MigrateOptions): Promise<void> {
  await onDatabase(database, "migrate", async (db) => {
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
