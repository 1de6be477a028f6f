import { setTimeout } from "node:timers/promises";
import {
  BusUnavailableError,
  type Bus,
  type BusMessage,
  type Consumption,
  type ConsumerSpec,
  type PublishOptions,
  type StreamName,
} from "./bus.ts";
import { InProcessStream } from "./in-process-stream.ts";
import { REDELIVERY_PAUSES, redeliveryPause, type RedeliveryPauses } from "./redelivery.ts";
import { streamNames, streamOf, streams } from "./streams.ts";

/** A bus in this process's memory, for the embedded profile. What it holds ends with the process. */
export class InProcessBus implements Bus {
  readonly connected = true;
  readonly durable = false;
  readonly #streams = new Map(streamNames.map((name) => [name, new InProcessStream(streams[name])]));
  /** By stream and durable name: consumptions that share one take turns. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Woken by the next message of a stream. */
  readonly #waiting = new Map<StreamName, Set<() => void>>(streamNames.map((name) => [name, new Set()]));
  readonly #consumptions = new Set<Consumption>();
  readonly #closing = new AbortController();
  readonly #pauses: RedeliveryPauses;

  constructor({ pauses = REDELIVERY_PAUSES }: { readonly pauses?: RedeliveryPauses } = {}) {
    this.#pauses = pauses;
  }

  async publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    const name = streamOf(subject);
    const stream = this.#open("publish", name, options.signal);
    // Copies: the caller may go on using what it passed.
    const message = { subject, data: data.slice(), headers: { ...options.headers } };
    const sequence = stream.append(message, options);
    for (const wake of [...this.#waiting.get(name)!]) wake();
    return sequence;
  }

  async lastMessage(name: StreamName, signal: AbortSignal): Promise<BusMessage | undefined> {
    return this.#open("read the last message", name, signal).messages.at(-1);
  }

  async lastSequence(name: StreamName, signal: AbortSignal): Promise<number> {
    return this.#open("read the last sequence", name, signal).lastSequence;
  }

  async lastPerSubject(name: StreamName, take: (message: BusMessage) => void, signal: AbortSignal): Promise<void> {
    const last = new Map<string, BusMessage>();
    for (const message of this.#open("read the last messages", name, signal).messages) {
      last.delete(message.subject); // so that it moves to the end
      last.set(message.subject, message);
    }
    last.forEach(take);
  }

  consume(spec: ConsumerSpec, handle: (message: BusMessage, signal: AbortSignal) => Promise<void>): Consumption {
    const stopping = new AbortController();
    const ended = this.#handleAll(spec, handle, AbortSignal.any([stopping.signal, this.#closing.signal]));
    const consumption = {
      close: async () => {
        stopping.abort();
        await ended;
        this.#consumptions.delete(consumption);
      },
    };
    this.#consumptions.add(consumption);
    return consumption;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
  }

  async #handleAll(
    { stream, durable }: ConsumerSpec,
    handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
    stop: AbortSignal,
  ): Promise<void> {
    while (!stop.aborted) {
      const handled = await this.#inTurn(`${stream} ${durable}`, () => this.#handleNext(stream, durable, handle, stop));
      if (!handled) await this.#nextMessage(stream, durable, stop);
    }
  }

  /** False when there is nothing to handle. */
  async #handleNext(
    name: StreamName,
    durable: string,
    handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
    stop: AbortSignal,
  ): Promise<boolean> {
    const stream = this.#streams.get(name)!;
    const next = stream.next(durable);
    if (next === undefined || stop.aborted) return false;
    try {
      await handle(next.message, this.#closing.signal);
      stream.done(durable, next.message.sequence);
    } catch {
      // The handler tells of its failures itself; here one only means that the message comes again.
      stream.failed(durable);
      const pause = redeliveryPause(next.failures + 1, this.#pauses);
      await setTimeout(pause, undefined, { signal: stop, ref: false }).catch(() => undefined); // or told to stop
    }
    return true;
  }

  #inTurn(key: string, work: () => Promise<boolean>): Promise<boolean> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    this.#turns.set(key, turn);
    return turn;
  }

  #nextMessage(name: StreamName, durable: string, stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (stop.aborted || this.#streams.get(name)!.next(durable) !== undefined) return resolve();
      const waiting = this.#waiting.get(name)!;
      const wake = (): void => {
        waiting.delete(wake);
        stop.removeEventListener("abort", wake);
        resolve();
      };
      waiting.add(wake);
      stop.addEventListener("abort", wake);
    });
  }

  #open(action: string, name: StreamName, signal: AbortSignal): InProcessStream {
    signal.throwIfAborted();
    if (this.#closing.signal.aborted) throw new BusUnavailableError(`${action}: it is closed`);
    return this.#streams.get(name)!;
  }
}
