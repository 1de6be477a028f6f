import { fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { auditEvent } from "../db/schema.ts";

/** What happened, for the audit trail. Never holds a secret. */
export type AuditRecord = Omit<typeof auditEvent.$inferInsert, "id" | "eventId">;

/** A record on its way to the database, with the id that makes it one record however often it is stored. */
export type QueuedRecord = AuditRecord & { readonly eventId: string };

/** Raised when an older release could not store what a newer one queues. */
const VERSION = 1;

/** Records as one message of the bus. */
export function encodeAuditBatch(records: readonly QueuedRecord[]): Uint8Array {
  const plain = records.map(({ time, ...rest }) => ({ ...rest, time: toJson(TimestampSchema, time) }));
  return new TextEncoder().encode(JSON.stringify({ version: VERSION, records: plain }));
}

/** The records of a message; `newer` when only a newer release can read it, `unreadable` when nobody can. */
export function decodeAuditBatch(data: Uint8Array): readonly QueuedRecord[] | "newer" | "unreadable" {
  try {
    const { version, records } = JSON.parse(new TextDecoder().decode(data)) as { version?: unknown; records?: unknown };
    if (typeof version === "number" && version > VERSION) return "newer";
    if (version !== VERSION || !Array.isArray(records)) return "unreadable";
    return (records as (Omit<QueuedRecord, "time"> & { readonly time: JsonValue })[]).map((record) => ({
      ...record,
      time: fromJson(TimestampSchema, record.time),
    }));
  } catch {
    return "unreadable";
  }
}
