import { WrongLastSequenceError, type BusMessage, type PublishOptions } from "./bus.ts";
import { DUPLICATE_WINDOW_MS, type StreamSettings } from "./streams.ts";

/** One durable consumer's place in a stream. */
interface Place {
  /** All messages up to here are done. */
  done: number;
  /** How often the message after it was handed out in vain. */
  failures: number;
}

/** The message was there already, with this sequence. */
export interface DuplicateOf {
  readonly duplicateOf: number;
}

/** A stream in this process's memory. */
export class InProcessStream {
  readonly #settings: StreamSettings;
  /** By sequence, which is the order of insertion. */
  readonly #messages = new Map<number, BusMessage>();
  /** The sequences that a subject still has, oldest first. */
  readonly #bySubject = new Map<string, number[]>();
  /** Sequence and time of the messages with an id, oldest first. */
  readonly #ids = new Map<string, { readonly sequence: number; readonly time: number }>();
  readonly #places = new Map<string, Place>();
  #lastSequence = 0;

  constructor(settings: StreamSettings) {
    this.#settings = settings;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Oldest first. */
  get messages(): readonly BusMessage[] {
    this.#forget(Date.now());
    return [...this.#messages.values()];
  }

  /** The last message of every subject, oldest first. */
  get lastPerSubject(): readonly BusMessage[] {
    const last = new Map<string, BusMessage>();
    for (const message of this.messages) {
      last.delete(message.subject); // so that it moves to the end
      last.set(message.subject, message);
    }
    return [...last.values()];
  }

  /** @throws WrongLastSequenceError */
  append(
    message: Omit<BusMessage, "sequence" | "time">,
    { messageId, expectedLastSequence, expectedLastSubjectSequence }: Omit<PublishOptions, "signal">,
  ): BusMessage | DuplicateOf {
    const time = new Date();
    this.#forget(time.getTime());
    const duplicate = messageId === undefined ? undefined : this.#ids.get(messageId);
    if (duplicate !== undefined) return { duplicateOf: duplicate.sequence };
    if (expectedLastSequence !== undefined && expectedLastSequence !== this.#lastSequence) {
      throw new WrongLastSequenceError(message.subject, expectedLastSequence);
    }
    const ofSubject = this.#bySubject.get(message.subject) ?? [];
    if (expectedLastSubjectSequence !== undefined && expectedLastSubjectSequence !== (ofSubject.at(-1) ?? 0)) {
      throw new WrongLastSequenceError(message.subject, expectedLastSubjectSequence);
    }
    const sequence = ++this.#lastSequence;
    const appended = { ...message, sequence, time };
    this.#messages.set(sequence, appended);
    this.#bySubject.set(message.subject, ofSubject);
    ofSubject.push(sequence);
    if (ofSubject.length > (this.#settings.perSubject ?? Infinity)) this.#remove(ofSubject[0]!);
    if (messageId !== undefined) this.#ids.set(messageId, { sequence, time: time.getTime() });
    return appended;
  }

  /** Makes the durable consumer, unless it is there, with its place behind all messages. */
  beginAtEnd(durable: string): void {
    if (!this.#places.has(durable)) this.#places.set(durable, { done: this.#lastSequence, failures: 0 });
  }

  /** The durable consumer's next message, and how often it has failed. */
  next(durable: string): { readonly message: BusMessage; readonly failures: number } | undefined {
    const place = this.#place(durable);
    // By sequence, as the messages that are done may be many.
    for (let sequence = place.done + 1; sequence <= this.#lastSequence; sequence++) {
      const message = this.#messages.get(sequence);
      if (message !== undefined) return { message, failures: place.failures };
    }
    return undefined;
  }

  done(durable: string, sequence: number): void {
    this.#places.set(durable, { done: sequence, failures: 0 });
    if (this.#settings.retention === "workqueue") this.#remove(sequence);
  }

  failed(durable: string): void {
    this.#place(durable).failures++;
  }

  #place(durable: string): Place {
    const place = this.#places.get(durable) ?? { done: 0, failures: 0 };
    this.#places.set(durable, place);
    return place;
  }

  #remove(sequence: number): void {
    const subject = this.#messages.get(sequence)?.subject;
    if (subject === undefined) return;
    this.#messages.delete(sequence);
    const left = this.#bySubject.get(subject)!.filter((other) => other !== sequence);
    if (left.length > 0) this.#bySubject.set(subject, left);
    else this.#bySubject.delete(subject);
  }

  #forget(now: number): void {
    for (const [id, { time }] of this.#ids) {
      if (time + DUPLICATE_WINDOW_MS > now) break;
      this.#ids.delete(id);
    }
    const { maxAgeMs } = this.#settings;
    if (maxAgeMs === undefined) return;
    for (const { sequence, time } of this.#messages.values()) {
      if (time.getTime() + maxAgeMs > now) break;
      this.#remove(sequence);
    }
  }
}
