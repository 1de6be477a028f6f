import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { BusUnavailableError, type Consumption } from "../backends/bus/bus.ts";
import { Flusher } from "../backends/flusher.ts";
import { decodeAuditBatch, encodeAuditBatch, type AuditRecord, type QueuedRecord } from "./audit-batch.ts";
import { logAuditRecord } from "./audit-log.ts";
import { AUDIT_CONSUMER, storeAuditMessage, storeAuditRecords, type AuditWriterDeps } from "./audit-writer.ts";

const FLUSH_INTERVAL_MS = 1_000;
const MAX_QUEUED = 10_000;
const RECORDS_PER_MESSAGE = 500;
/** Half of what a bus takes: the records' lengths are estimated in characters. */
const CHARACTERS_PER_MESSAGE = 512 * 1024;
/** Milliseconds that closing waits for the bus. */
const CLOSE_PATIENCE_MS = 3_000;

interface Batch {
  readonly records: readonly QueuedRecord[];
  readonly id: string;
}

/**
 * Audit of calls that must not wait for a server, or fail with it: reads of secrets. Records go to the bus in batches, at most one
 * a second, and from there to the database, by whichever process takes them. While the bus is away they wait here, while the
 * database is away they wait there; what finds no room goes to the log instead, so none is lost silently. A kill -9 loses at most
 * what the last second brought; with a bus that ends with the process, what waited there too.
 */
export class AuditQueue {
  readonly #deps: AuditWriterDeps;
  readonly #limit: number;
  readonly #flusher: Flusher;
  readonly #writer: Consumption;
  readonly #givingUp = new AbortController();
  readonly #queue: QueuedRecord[] = [];
  /** What is being published: if it fails, the very same is tried again, so that it can be recognised. */
  #batch: Batch | undefined;
  #failing = false;
  #closed = false;

  constructor(deps: AuditWriterDeps & { readonly intervalMs?: number; readonly limit?: number }) {
    this.#deps = deps;
    this.#limit = deps.limit ?? MAX_QUEUED;
    this.#flusher = new Flusher({
      flush: () => this.#flush(),
      intervalMs: deps.intervalMs ?? FLUSH_INTERVAL_MS,
      onError: (error) => this.#noteFailure(error),
    });
    this.#writer = storeAuditRecords(deps);
  }

  /** Takes a record; returns at once. */
  add(record: AuditRecord): void {
    if (this.#closed || this.#queue.length >= this.#limit) {
      logAuditRecord(this.#deps.logger, record);
      return;
    }
    this.#queue.push({ ...record, eventId: randomUUID() });
    this.#flusher.wake();
  }

  /** Hands over what is queued, or else logs it. */
  async close(): Promise<void> {
    this.#closed = true;
    const timer = setTimeout(() => this.#givingUp.abort(), CLOSE_PATIENCE_MS);
    await this.#flusher.close();
    clearTimeout(timer);
    for (const record of this.#queue.splice(0)) logAuditRecord(this.#deps.logger, record);
    await this.#writer.close();
    if (!this.#deps.bus.durable) await this.#emptyBus();
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#batch ??= nextBatch(this.#queue);
      const { records, id } = this.#batch;
      try {
        const options = { messageId: id, signal: this.#givingUp.signal };
        await this.#deps.bus.publish("ops.audit.v1", encodeAuditBatch(records), options);
      } catch (error) {
        if (error instanceof BusUnavailableError || this.#givingUp.signal.aborted) throw error;
        // It would be refused for ever.
        this.#deps.logger.error({ err: error }, "the bus refuses audit records");
        for (const record of records) logAuditRecord(this.#deps.logger, record);
      }
      this.#queue.splice(0, records.length);
      this.#batch = undefined;
    }
    this.#failing = false;
  }

  /** What a bus of this process still holds would be gone with it. */
  async #emptyBus(): Promise<void> {
    const { bus, logger } = this.#deps;
    const rest = bus.consume(AUDIT_CONSUMER, async (message) => {
      try {
        await storeAuditMessage(message, this.#deps);
      } catch {
        const records = decodeAuditBatch(message.data);
        if (Array.isArray(records)) for (const record of records as QueuedRecord[]) logAuditRecord(logger, record);
      }
    });
    const { signal } = new AbortController();
    while ((await bus.lastMessage("OPS_AUDIT", signal)) !== undefined) await pause(5);
    await rest.close();
  }

  #noteFailure(error: unknown): void {
    if (this.#failing) return; // once per outage
    this.#failing = true;
    this.#deps.logger.warn({ err: error, queued: this.#queue.length }, "audit records wait: the bus can't take them");
  }
}

function nextBatch(queue: readonly QueuedRecord[]): Batch {
  let characters = 0;
  let count = 0;
  for (const { detail, target, requestId, source, actorPrincipal } of queue) {
    if (count > 0 && (count === RECORDS_PER_MESSAGE || characters > CHARACTERS_PER_MESSAGE)) break;
    for (const text of [JSON.stringify(detail), target, requestId, source, actorPrincipal]) characters += text.length;
    count++;
  }
  return { records: queue.slice(0, count), id: randomUUID() };
}
