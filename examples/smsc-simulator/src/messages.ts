/** Where a message's receipt is; `none` when it gets none. */
export type ReceiptProgress = "none" | "scheduled" | "waiting" | "sent" | "confirmed" | "refused";

/** A message that the vendor has. */
export interface Message {
  /** Ascending over all accounts. */
  readonly number: number;
  /** As in submit_sm_resp. */
  readonly id: string;
  /** As in the receipt. */
  readonly receiptId: string;
  readonly systemId: string;
  /** Of the submit. */
  readonly sessionId: number;
  readonly source: string;
  readonly destination: string;
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly submitted: number;
  /** Whether the client was told; false too while the answer is still under way. */
  answered: boolean;
  /** The final state, as soon as it is reached; undefined when the message gets no receipt. */
  state: string | undefined;
  receipt: ReceiptProgress;
  /** The session the receipt went over last. */
  receiptSessionId?: number;
}

/** The messages taken last, oldest first. */
export class Messages {
  readonly #limit: number;
  readonly #messages: Message[] = [];
  #forgotten = 0;

  /** @param limit how many are kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many are no longer kept. */
  get forgotten(): number {
    return this.#forgotten;
  }

  add(message: Message): void {
    this.#messages.push(message);
    // A tenth at a time, as cutting the front off a long array moves all of it.
    if (this.#messages.length <= this.#limit * 1.1) return;
    this.#forgotten += this.#messages.splice(0, this.#messages.length - this.#limit).length;
  }

  /** Of one account, with numbers above `after`, oldest first, `limit` at most. */
  list(systemId: string, { after = 0, limit = Infinity }: { after?: number; limit?: number } = {}): Message[] {
    const found = this.#messages.filter((message) => message.systemId === systemId && message.number > after);
    return found.slice(0, limit).map((message) => ({ ...message }));
  }

  /** By either of its ids; undefined when there is none, or none any more. */
  find(systemId: string, id: string): Message | undefined {
    const message = this.#messages.findLast(
      (each) => each.systemId === systemId && (each.id === id || each.receiptId === id),
    );
    return message && { ...message };
  }
}
