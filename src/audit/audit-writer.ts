import type { Logger } from "pino";
import type { BusMessage, Consumption, ConsumerSpec, Bus } from "../backends/bus/bus.ts";
import { isAboutValues } from "../db/database-error.ts";
import type { Database } from "../db/db.ts";
import { auditEvent } from "../db/schema.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { decodeAuditBatch } from "./audit-batch.ts";
import { logAuditRecord } from "./audit-log.ts";

/** What the writer needs. */
export interface AuditWriterDeps {
  readonly bus: Bus;
  readonly db: Database;
  readonly logger: Pick<Logger, "warn" | "error">;
}

/** Shared by all processes: each message is stored by one of them. */
export const AUDIT_CONSUMER: ConsumerSpec = { stream: "OPS_AUDIT", durable: "ops-audit-writer" };

/** Stores the audit records that come over the bus, each once, however often its message comes. While the database is away they wait there. */
export function storeAuditRecords(deps: AuditWriterDeps): Consumption {
  let failing = false;
  return deps.bus.consume(AUDIT_CONSUMER, async (message) => {
    try {
      await storeAuditMessage(message, deps);
      failing = false;
    } catch (error) {
      if (!failing) {
        failing = true; // once per outage
        deps.logger.warn({ err: typedDatabaseError(error) }, "audit records wait on the bus: storing them failed");
      }
      throw error;
    }
  });
}

/** Stores one message's records. @throws what the database said, if trying again may help */
export async function storeAuditMessage(
  { data, sequence }: BusMessage,
  { db, logger }: Pick<AuditWriterDeps, "db" | "logger">,
): Promise<void> {
  const records = decodeAuditBatch(data);
  if (records === "newer") throw new Error("audit records of a newer release; one of its processes will store them");
  if (records === "unreadable") {
    logger.error({ sequence, bytes: data.length }, "a message with audit records is unreadable and was dropped");
    return;
  }
  try {
    await db
      .insert(auditEvent)
      .values([...records])
      .onConflictDoNothing({ target: auditEvent.eventId });
  } catch (error) {
    if (!isAboutValues(error)) throw error;
    // It would fail for ever, and hold up all that came after it.
    for (const record of records) logAuditRecord(logger, record);
  }
}
