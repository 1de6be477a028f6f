import type { Logger } from "pino";
import { Flusher } from "../backends/flusher.ts";
import type { Database } from "../db/db.ts";
import { auditEvent } from "../db/schema.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";

/** What happened, for the audit trail. Never holds a secret. */
export type AuditRecord = Omit<typeof auditEvent.$inferInsert, "id">;

const FLUSH_INTERVAL_MS = 1_000;
const MAX_QUEUED = 10_000;
const ROWS_PER_INSERT = 500;

/**
 * Audit of calls that must not wait for the database, or fail with it: reads of secrets. Records are stored in batches, at most one
 * a second, and wait while the database is down; what finds no room goes to the log instead, so none is lost silently. A kill -9
 * loses at most what the last second brought.
 */
export class AuditQueue {
  readonly #db: Database;
  readonly #logger: Pick<Logger, "warn">;
  readonly #limit: number;
  readonly #flusher: Flusher;
  #queue: AuditRecord[] = [];
  #failing = false;
  #closed = false;

  constructor(deps: {
    readonly db: Database;
    readonly logger: Pick<Logger, "warn">;
    readonly intervalMs?: number;
    readonly limit?: number;
  }) {
    this.#db = deps.db;
    this.#logger = deps.logger;
    this.#limit = deps.limit ?? MAX_QUEUED;
    this.#flusher = new Flusher({
      flush: () => this.#flush(),
      intervalMs: deps.intervalMs ?? FLUSH_INTERVAL_MS,
      onError: (error) => this.#noteFailure(error),
    });
  }

  /** Takes a record; returns at once. */
  add(record: AuditRecord): void {
    if (this.#closed || this.#queue.length >= this.#limit) {
      this.#log(record);
      return;
    }
    this.#queue.push(record);
    this.#flusher.wake();
  }

  /** Stores what is queued, or else logs it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flusher.close();
    for (const record of this.#queue.splice(0)) this.#log(record);
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, ROWS_PER_INSERT);
      await this.#db.insert(auditEvent).values(batch);
      this.#queue.splice(0, batch.length);
    }
    this.#failing = false;
  }

  #noteFailure(error: unknown): void {
    if (this.#failing) return; // once per outage
    this.#failing = true;
    this.#logger.warn(
      { err: typedDatabaseError(error), queued: this.#queue.length },
      "audit records wait: storing them failed",
    );
  }

  #log(record: AuditRecord): void {
    this.#logger.warn({ audit: record }, "audit record kept here only: it could not be queued or stored");
  }
}
