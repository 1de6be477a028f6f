import { fromBinary } from "@bufbuild/protobuf";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { BindState, type BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { and, asc, gte, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { nodeStatus } from "../db/schema.ts";
import { SILENT_AFTER_MS, type Fleet } from "./fleet.ts";

/** A full-sized node reports some 400 KiB. */
const ROWS_AT_ONCE = 20;

/**
 * Ids of the credentials that nodes name in their binds, so that they are in use at a vendor: nodes that any replica of the service has
 * heard of within a day and that have not said that they leave. One that fell silent may still have its binds. Throws the database's errors:
 * what this replica alone has heard is not all.
 */
export async function credentialsInUse(db: Database, fleet: Pick<Fleet, "nodes">): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  await forEachBind(db, fleet, undefined, ({ credentialId }) => {
    if (credentialId !== "") ids.add(credentialId);
  });
  return ids;
}

/** Names of the nodes that any replica has heard of within a minute and that are bound with this credential now. Throws the database's errors. */
export async function nodesBoundWith(
  db: Database,
  fleet: Pick<Fleet, "nodes">,
  credentialId: string,
  now: Date,
): Promise<string[]> {
  const bound = new Set<string>();
  const heardSince = timestampFromDate(new Date(now.getTime() - SILENT_AFTER_MS));
  await forEachBind(db, fleet, heardSince, (bind, node) => {
    if (bind.credentialId === credentialId && bind.state === BindState.BOUND) bound.add(node);
  });
  return [...bound].sort();
}

/** The binds of nodes heard since then (undefined: within a day), by what this replica has heard and by what all have stored. */
async function forEachBind(
  db: Database,
  fleet: Pick<Fleet, "nodes">,
  heardSince: Timestamp | undefined,
  take: (bind: BindStatus, node: string) => void,
): Promise<void> {
  for (const { report } of fleet.nodes()) takeBinds(report, take);
  let last: { namespace: string; node: string } | undefined;
  for (;;) {
    const { namespace, node, report, reportTime } = nodeStatus;
    const rows = await db
      .select({ namespace, node, report })
      .from(nodeStatus)
      .where(
        and(
          last && sql`(${namespace}, ${node}) > (${last.namespace}, ${last.node})`,
          heardSince && gte(reportTime, heardSince),
        ),
      )
      .orderBy(asc(namespace), asc(node))
      .limit(ROWS_AT_ONCE);
    for (const row of rows) takeBinds(row.report, take);
    if (rows.length < ROWS_AT_ONCE) return;
    last = rows.at(-1);
  }
}

function takeBinds(report: Uint8Array, take: (bind: BindStatus, node: string) => void): void {
  const { node, leaving, connections } = fromBinary(ReportNodeStatusRequestSchema, report);
  if (leaving) return;
  for (const { binds } of connections) for (const bind of binds) take(bind, node);
}
