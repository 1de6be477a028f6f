/** A message that waits to be sent; here all are alike, so only its age matters. */
export interface Waiting {
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** What came of the messages of one connection. */
export interface Outcome {
  /** Taken by the vendor. */
  taken: number;
  /** Refused for good. */
  refused: number;
  /** Without an answer: nobody knows. */
  unknown: number;
  /** Refused for now, and put back. */
  putBack: number;
  /** Receipts with a final state. */
  receipts: number;
}

/** More than these aren't produced: a test must not fill the memory while a vendor is away. */
const MOST_WAITING = 1_000;

/** `1200 messages taken by the vendor, …` */
export function outcomeWords({ outcome: { taken, refused, unknown, receipts }, depth }: Outbox): string {
  return `${taken} messages taken by the vendor, ${refused} refused, ${unknown} unanswered, ${depth} not sent; ${receipts} receipts`;
}

/** The queue of one connection, first in, first out. What the vendor could not take goes back to its head. */
export class Outbox {
  readonly outcome: Outcome = { taken: 0, refused: 0, unknown: 0, putBack: 0, receipts: 0 };
  readonly #waiting: Waiting[] = [];
  #owed = 0;
  #producedAt: number | undefined;

  get depth(): number {
    return this.#waiting.length;
  }

  /** Since when the oldest waits. */
  get oldestAt(): number | undefined {
    return this.#waiting[0]?.since;
  }

  /** Adds what comes at this rate since the last call; a pause of production is not made up for. */
  produce(perSecond: number, now: number): void {
    const elapsed = Math.min(1_000, Math.max(0, now - (this.#producedAt ?? now)));
    this.#producedAt = now;
    this.#owed = Math.min(this.#owed + (perSecond * elapsed) / 1_000, MOST_WAITING);
    while (this.#owed >= 1) {
      this.#owed -= 1;
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ since: now });
    }
  }

  take(): Waiting | undefined {
    return this.#waiting.shift();
  }

  putBack(message: Waiting): void {
    this.outcome.putBack += 1;
    this.#waiting.unshift(message);
  }
}
