import type { OpenDatabase } from "../../src/db/db.ts";
import { History } from "../../src/history/commit.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import type { TestStore } from "../history/store.ts";
import { migrated, opened } from "./opened-database.ts";

/** A history on a PostgreSQL of its own: as the service's role, or as the owner, for tests that damage what the service can't. */
export async function openPostgresStore(
  as: "service" | "owner" = "service",
): Promise<TestStore & { readonly postgres: Postgres }> {
  const postgres = await startPostgres({ replica: false });
  await migrated(postgres);
  const database: OpenDatabase = opened({ primary: as === "owner" ? postgres.ownerUrl : postgres.serviceUrl });
  let commits = 0;
  return {
    postgres,
    database,
    history: new History({ db: database.db, onCommit: () => commits++ }),
    commits: () => commits,
    close: async () => {
      await database.close();
      await postgres[Symbol.asyncDispose]();
    },
  };
}
