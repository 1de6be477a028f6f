import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { decodeToken } from "@operator-management/client";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { and, eq, gte, lt, or, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { nodeStatus } from "../db/schema.ts";
import { SILENT_AFTER_MS, type Fleet, type FleetNode } from "./fleet.ts";

/** How long a silent node's row stays: what it has bound may still be bound. */
const KEPT_MS = 24 * 60 * 60_000;
const REPORTS_AT_ONCE = 20;

/** Stores a node's report, also its last one: that it left is what the other replicas must hear. A later one stays. */
export async function storeReport(db: Database, node: FleetNode): Promise<void> {
  const { epoch, report } = node;
  const values = { epoch, report, reportTime: timestampFromDate(node.reportTime) };
  const silent = sql`${nodeStatus.reportTime} < excluded.report_time - ${SILENT_AFTER_MS} * interval '1 millisecond'`;
  await db
    .insert(nodeStatus)
    .values({ namespace: node.namespace, node: node.node, ...values })
    .onConflictDoUpdate({
      target: [nodeStatus.namespace, nodeStatus.node],
      set: values,
      setWhere: sql`(${nodeStatus.epoch}, ${nodeStatus.reportTime}) <= (excluded.epoch, excluded.report_time) or ${silent}`,
    });
}

/** Brings the fleet what other replicas have stored and it hasn't: usually a look at the keys. */
export async function mergeStored(db: Database, fleet: Fleet, now: Date): Promise<void> {
  const heardOf = timestampFromDate(new Date(now.getTime() - SILENT_AFTER_MS));
  const { namespace, node, epoch, reportTime } = nodeStatus;
  const keys = await db.select({ namespace, node, epoch, reportTime }).from(nodeStatus).where(gte(reportTime, heardOf));
  const news = keys.filter((key) => fleet.isNews({ ...key, reportTime: timestampDate(key.reportTime) }));
  for (let at = 0; at < news.length; at += REPORTS_AT_ONCE) {
    const these = news
      .slice(at, at + REPORTS_AT_ONCE)
      .map((key) => and(eq(namespace, key.namespace), eq(node, key.node)));
    const rows = await db
      .select()
      .from(nodeStatus)
      .where(or(...these));
    fleet.merge(rows.map(nodeOf));
  }
}

/** Removes the rows of nodes that nobody has heard of for a day. */
export async function forgetStored(db: Database, now: Date): Promise<void> {
  await db.delete(nodeStatus).where(lt(nodeStatus.reportTime, timestampFromDate(new Date(now.getTime() - KEPT_MS))));
}

function nodeOf(row: typeof nodeStatus.$inferSelect): FleetNode {
  const { namespace, node, epoch, report } = row;
  const request = fromBinary(ReportNodeStatusRequestSchema, report);
  return {
    namespace,
    node,
    epoch,
    report,
    applied: decodeToken(request.appliedToken),
    rejected: request.rejected.length,
    reportTime: timestampDate(row.reportTime),
    left: request.leaving,
  };
}
