import { fromBinary } from "@bufbuild/protobuf";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { asc, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { nodeStatus } from "../db/schema.ts";
import type { Fleet } from "./fleet.ts";

/** A full-sized node reports some 400 KiB. */
const ROWS_AT_ONCE = 20;

/**
 * Ids of the credentials that nodes name in their binds, so that they are in use at a vendor: nodes that any replica of the service has
 * heard of within a day and that have not said that they leave. One that fell silent may still have its binds. Throws the database's errors:
 * what this replica alone has heard is not all.
 */
export async function credentialsInUse(db: Database, fleet: Pick<Fleet, "nodes">): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (const { report } of fleet.nodes()) addCredentials(report, ids);
  let last: { namespace: string; node: string } | undefined;
  for (;;) {
    const { namespace, node, report } = nodeStatus;
    const rows = await db
      .select({ namespace, node, report })
      .from(nodeStatus)
      .where(last && sql`(${namespace}, ${node}) > (${last.namespace}, ${last.node})`)
      .orderBy(asc(namespace), asc(node))
      .limit(ROWS_AT_ONCE);
    for (const row of rows) addCredentials(row.report, ids);
    if (rows.length < ROWS_AT_ONCE) return ids;
    last = rows.at(-1);
  }
}

function addCredentials(report: Uint8Array, ids: Set<string>): void {
  const { leaving, connections } = fromBinary(ReportNodeStatusRequestSchema, report);
  if (leaving) return;
  for (const { binds } of connections) {
    for (const { credentialId } of binds) if (credentialId !== "") ids.add(credentialId);
  }
}
