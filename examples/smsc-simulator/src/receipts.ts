import type { Behaviour } from "./behaviour.ts";
import { Delays } from "./delays.ts";
import type { SmscEvent } from "./events.ts";
import type { Message, ReceiptProgress } from "./messages.ts";
import { pickReceiver, type Receiver } from "./pick-receiver.ts";
import { receiptFields } from "./receipt.ts";
import type { PduFields } from "./smpp.ts";

/** What became of a deliver_sm; `lost` when the session ended before its answer. */
export type DeliveryOutcome = "confirmed" | "refused" | "lost";

/** A session that receives, now. */
export interface ReceivingSession extends Receiver {
  deliver(fields: PduFields, done: (outcome: DeliveryOutcome) => void): void;
}

export interface ReceiptsContext {
  readonly receivers: (systemId: string) => readonly ReceivingSession[];
  readonly behaviour: (systemId: string) => Behaviour;
  readonly emit: (event: SmscEvent) => void;
  readonly now: () => number;
}

/** How many receipts may be without an answer on one session. */
const WINDOW = 50;

interface Due {
  readonly message: Message;
  readonly state: string;
  readonly done: number;
}

/** Receipts from the submit to the client's answer. One that no bind can take waits for a bind that can. */
export class Receipts {
  readonly #context: ReceiptsContext;
  readonly #delays = new Delays();
  readonly #waiting = new Map<string, Due[]>();
  readonly #unanswered = new Map<ReceivingSession, number>();
  #turn = 0;
  #closed = false;

  constructor(context: ReceiptsContext) {
    this.#context = context;
  }

  /** Sends the receipt of `message` after `delay` milliseconds. */
  schedule(message: Message, state: string, delay: number): void {
    this.#progress(message, "scheduled");
    this.#delays.later(delay, () => {
      const { systemId } = message;
      message.state = state;
      this.#progress(message, "waiting");
      this.#queue(systemId).push({ message, state, done: this.#context.now() });
      this.flush(systemId);
    });
  }

  /** Sends what waits; to be called when a session of the account may receive that could not before. */
  flush(systemId: string): void {
    if (this.#closed) return;
    const queue = this.#queue(systemId);
    for (let due = queue[0]; due; due = queue[0]) {
      const free = this.#context.receivers(systemId).filter((each) => (this.#unanswered.get(each) ?? 0) < WINDOW);
      const how = this.#context.behaviour(systemId).receipts ?? {};
      const receiver = pickReceiver(free, due.message.sessionId, how.over ?? "any", this.#turn++);
      if (!receiver) return;
      queue.shift();
      this.#send(receiver, due, how);
    }
  }

  close(): void {
    this.#closed = true;
    this.#delays.close();
  }

  #send(receiver: ReceivingSession, due: Due, how: NonNullable<Behaviour["receipts"]>): void {
    const { message, state, done } = due;
    const { receiptId: id, source, destination, text, submitted } = message;
    message.receiptSessionId = receiver.sessionId;
    this.#progress(message, "sent");
    this.#count(receiver, 1);
    receiver.deliver(receiptFields({ id, source, destination, text, state, submitted, done }, how), (outcome) => {
      this.#count(receiver, -1);
      this.#progress(message, outcome === "lost" ? "waiting" : outcome);
      if (outcome === "lost") this.#queue(message.systemId).unshift(due);
      this.flush(message.systemId);
    });
  }

  #progress(message: Message, to: ReceiptProgress): void {
    const from = message.receipt;
    message.receipt = to;
    this.#context.emit({ kind: "receipt", systemId: message.systemId, from, to });
  }

  #count(receiver: ReceivingSession, change: number): void {
    const unanswered = (this.#unanswered.get(receiver) ?? 0) + change;
    if (unanswered === 0) this.#unanswered.delete(receiver);
    else this.#unanswered.set(receiver, unanswered);
  }

  #queue(systemId: string): Due[] {
    const queue = this.#waiting.get(systemId) ?? [];
    this.#waiting.set(systemId, queue);
    return queue;
  }
}
