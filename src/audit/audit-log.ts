import type { Logger } from "pino";
import type { AuditRecord } from "./audit-batch.ts";

/** The last resort for a record: a line of the log. */
export function logAuditRecord(logger: Pick<Logger, "warn">, record: AuditRecord): void {
  logger.warn({ audit: record }, "audit record kept here only: it could not be queued or stored");
}
