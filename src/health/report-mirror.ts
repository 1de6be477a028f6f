import { Flusher } from "../backends/flusher.ts";
import type { BusMessage } from "../backends/bus/bus.ts";
import type { Cache } from "../backends/cache/cache.ts";
import { mapConcurrently } from "../map-concurrently.ts";
import { reporterOf, reportSubject } from "./subjects.ts";

/** As long as the stream keeps them. */
const TTL_MS = 20 * 60_000;
const FLUSH_INTERVAL_MS = 1_000;
const AT_ONCE = 16;
/** Operators whose reports wait to be mirrored; more are left out, for the next report to try. */
const MAX_WAITING = 10_000;

type Mirrored = Pick<BusMessage, "subject" | "data" | "sequence" | "time">;

/**
 * A copy of the latest reports in the cache, for processes that start while the bus is away. Written by whichever process a report wakes; losing all
 * of it loses nothing.
 */
export class ReportMirror {
  readonly #cache: Cache;
  readonly #flusher: Flusher;
  #waiting = new Map<string, Map<string, Uint8Array>>();

  constructor({ cache }: { readonly cache: Cache }) {
    this.#cache = cache;
    // The cache itself says once per outage that it doesn't answer.
    this.#flusher = new Flusher({
      flush: () => this.#flush(),
      intervalMs: FLUSH_INTERVAL_MS,
      onError: () => undefined,
    });
  }

  /** Copies a report soon, or not at all. */
  put(message: Mirrored): void {
    const reporter = reporterOf(message.subject);
    if (reporter === undefined) return;
    const { operatorUid, connectionId, node } = reporter;
    const fields = this.#waiting.get(operatorUid) ?? new Map<string, Uint8Array>();
    if (fields.size === 0 && this.#waiting.size >= MAX_WAITING) return;
    fields.set(`${connectionId}.${node}`, encode(message));
    this.#waiting.set(operatorUid, fields);
    this.#flusher.wake();
  }

  /** The copies of these operators' reports, as the bus would bring them. @throws CacheUnavailableError */
  async load(operatorUids: readonly string[], take: (message: BusMessage) => void): Promise<void> {
    await mapConcurrently(operatorUids, AT_ONCE, async (operatorUid) => {
      for (const [field, value] of await this.#cache.getFields(keyOf(operatorUid))) {
        const message = decode(operatorUid, field, value);
        if (message !== undefined) take(message);
      }
    });
  }

  async close(): Promise<void> {
    await this.#flusher.close();
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = new Map();
    await mapConcurrently([...batch], AT_ONCE, ([operatorUid, fields]) =>
      this.#cache.setFields(keyOf(operatorUid), fields, TTL_MS),
    );
  }
}

/** The braces make all keys of an operator live on one node. */
function keyOf(operatorUid: string): string {
  return `ops:{${operatorUid}}:reports`;
}

/** Sequence and time as two numbers of 8 bytes, then the report. */
function encode({ data, sequence, time }: Mirrored): Uint8Array {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(BigInt(sequence), 0);
  head.writeBigInt64BE(BigInt(time.getTime()), 8);
  return Buffer.concat([head, data]);
}

function decode(operatorUid: string, field: string, value: Uint8Array): BusMessage | undefined {
  const [connectionId, node, ...more] = field.split(".");
  if (value.length < 16 || !connectionId || !node || more.length > 0) return undefined;
  const head = Buffer.from(value.buffer, value.byteOffset, 16);
  return {
    subject: reportSubject({ operatorUid, connectionId }, node),
    data: value.subarray(16),
    headers: {},
    sequence: Number(head.readBigUInt64BE(0)),
    time: new Date(Number(head.readBigInt64BE(8))),
  };
}
