import type { Client } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { Tail } from "../../../src/catalog/tail.ts";
import { openClusterDatabase } from "../../../src/db/cluster-database.ts";
import type { OpenDatabase } from "../../../src/db/db.ts";
import type { WatchSources } from "../../../src/watch/watcher.ts";
import { recordedLogger } from "../../db/recorded-logger.ts";
import { watchSources } from "../../watch/support/recorded-watch.ts";
import { readClients } from "./read-clients.ts";

/** What a pod of the cluster has between its database and its handlers. */
export interface Pod extends AsyncDisposable {
  readonly database: OpenDatabase;
  readonly catalog: Catalog;
  readonly tail: Tail;
  readonly admin: Client<typeof OperatorAdminService>;
  readonly watches: WatchSources;
  readonly log: readonly string[];
}

export function startPod(servers: { readonly primary: string; readonly replica?: string }): Pod {
  const { logger, lines } = recordedLogger();
  const database = openClusterDatabase({ ...servers, logger });
  const catalog = new Catalog();
  const tail = Tail.start({ database, catalog, logger });
  return {
    database,
    catalog,
    tail,
    admin: readClients(catalog, { database, wake: () => tail.wake() }).admin,
    watches: watchSources(catalog),
    log: lines,
    [Symbol.asyncDispose]: async () => {
      await tail.close();
      await database.close();
    },
  };
}

/** The URL with another port. */
export function through(url: string, { port }: { readonly port: number }): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
