import { Flusher } from "../backends/flusher.ts";
import type { BusMessage } from "../backends/bus/bus.ts";
import { CacheUnavailableError, type Cache } from "../backends/cache/cache.ts";
import { mapConcurrently } from "../map-concurrently.ts";
import { reporterOf, reportSubject } from "./subjects.ts";

/** As long as the stream keeps them. A key is for so long a time, so that nodes that are gone go with it. */
export const PERIOD_MS = 20 * 60_000;
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
  readonly #now: () => Date;
  readonly #flusher: Flusher;
  #waiting = new Map<string, Map<string, Uint8Array>>();

  constructor({ cache, now }: { readonly cache: Cache; readonly now: () => Date }) {
    this.#cache = cache;
    this.#now = now;
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

  /**
   * The copies of these operators' reports, of each node the latest first, as far as the cache answers until the signal aborts: where one of its
   * servers is away, the others' copies are worth having. A cache that doesn't answer is no error.
   */
  async load(operatorUids: readonly string[], take: (message: BusMessage) => void, signal: AbortSignal): Promise<void> {
    await mapConcurrently(operatorUids, AT_ONCE, async (operatorUid) => {
      const period = this.#period();
      for (const key of [mirrorKey(operatorUid, period), mirrorKey(operatorUid, period - 1)]) {
        if (signal.aborted) return;
        for (const [field, value] of await this.#fieldsOf(key)) {
          const message = decode(operatorUid, field, value);
          if (message !== undefined) take(message);
        }
      }
    });
  }

  async #fieldsOf(key: string): Promise<ReadonlyMap<string, Uint8Array>> {
    try {
      return await this.#cache.getFields(key);
    } catch (error) {
      if (error instanceof CacheUnavailableError) return new Map(); // the cache says itself that it doesn't answer
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#flusher.close();
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = new Map();
    await mapConcurrently([...batch], AT_ONCE, ([operatorUid, fields]) =>
      this.#cache.setFields(mirrorKey(operatorUid, this.#period()), fields, 2 * PERIOD_MS),
    );
  }

  #period(): number {
    return Math.floor(this.#now().getTime() / PERIOD_MS);
  }
}

/** The hash of an operator's reports in the so manieth period since 1970. The braces make all keys of an operator live on one node. */
export function mirrorKey(operatorUid: string, period: number): string {
  return `ops:{${operatorUid}}:reports:${period}`;
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
