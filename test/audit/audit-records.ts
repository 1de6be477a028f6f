import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditRecord } from "../../src/audit/audit-batch.ts";
import type { Database } from "../../src/db/db.ts";
import { auditEvent } from "../../src/db/schema.ts";
import type { Line } from "../backends/jetstream-buses.ts";

/** A record that its request id tells from others. */
export function auditRecord(requestId: string): AuditRecord {
  return {
    time: timestampFromDate(new Date()),
    actorPrincipal: "spiffe://test/smpp-connector",
    actorKind: "WORKLOAD",
    source: "10.0.0.7",
    method: "GetConnectionCredential",
    target: "operators/acme/connections/main",
    result: "OK",
    requestId,
    detail: {},
  };
}

/** The stored records' request ids, in the order in which they were stored. */
export async function storedIds(db: Database): Promise<string[]> {
  return (await db.select().from(auditEvent).orderBy(auditEvent.id)).map(({ requestId }) => requestId);
}

/** The request ids of the records that went to the log. */
export function loggedIds(lines: readonly Line[]): string[] {
  return lines.flatMap(({ details }) => ("audit" in details ? [(details.audit as AuditRecord).requestId] : []));
}
