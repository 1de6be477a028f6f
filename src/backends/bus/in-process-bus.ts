import { setTimeout } from "node:timers/promises";
import type { Logger } from "pino";
import {
  BusUnavailableError,
  PoisonMessageError,
  type Bus,
  type BusMessage,
  type Consumption,
  type ConsumerSpec,
  type Following,
  type PublishOptions,
  type StreamName,
} from "./bus.ts";
import { BURIED, deadLetter } from "./dead-letters.ts";
import { neverThrowing } from "./follower.ts";
import { followInProcess, type InProcessFollower } from "./in-process-follow.ts";
import { InProcessStream } from "./in-process-stream.ts";
import { REDELIVERY_PAUSES, redeliveryPause, type RedeliveryPauses } from "./redelivery.ts";
import { streamNames, streamOf, streams } from "./streams.ts";

export interface InProcessBusOptions {
  /** Before what couldn't be handled comes again. */
  readonly pauses?: RedeliveryPauses;
  /** Told of dead letters, and of messages that a follower couldn't take. */
  readonly logger?: Pick<Logger, "error">;
}

/** A bus in this process's memory, for the embedded profile. What it holds ends with the process. */
export class InProcessBus implements Bus {
  readonly connected = true;
  readonly durable = false;
  readonly #streams = new Map(streamNames.map((name) => [name, new InProcessStream(streams[name])]));
  /** By stream and durable name: consumptions that share one take turns. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Woken by the next message of a stream. */
  readonly #waiting = new Map<StreamName, Set<() => void>>(streamNames.map((name) => [name, new Set()]));
  readonly #followers = new Map<StreamName, Set<InProcessFollower>>(streamNames.map((name) => [name, new Set()]));
  readonly #consumptions = new Set<Consumption>();
  readonly #closing = new AbortController();
  readonly #pauses: RedeliveryPauses;
  readonly #logger: Pick<Logger, "error"> | undefined;

  constructor({ pauses = REDELIVERY_PAUSES, logger }: InProcessBusOptions = {}) {
    this.#pauses = pauses;
    this.#logger = logger;
  }

  async publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    const name = streamOf(subject);
    const stream = this.#open("publish", name, options.signal);
    // Copies: the caller may go on using what it passed.
    const message = { subject, data: data.slice(), headers: { ...options.headers } };
    const appended = stream.append(message, options);
    if ("duplicateOf" in appended) return appended.duplicateOf;
    for (const wake of [...this.#waiting.get(name)!]) wake();
    for (const follower of this.#followers.get(name)!) follower.offer(appended);
    return appended.sequence;
  }

  async lastMessage(name: StreamName, signal: AbortSignal): Promise<BusMessage | undefined> {
    return this.#open("read the last message", name, signal).messages.at(-1);
  }

  async lastSequence(name: StreamName, signal: AbortSignal): Promise<number> {
    return this.#open("read the last sequence", name, signal).lastSequence;
  }

  async lastPerSubject(name: StreamName, take: (message: BusMessage) => void, signal: AbortSignal): Promise<void> {
    this.#open("read the last messages", name, signal).lastPerSubject.forEach(take);
  }

  follow(name: StreamName, take: (message: BusMessage) => void): Following {
    const followers = this.#followers.get(name)!;
    const begin = this.#streams.get(name)!.lastPerSubject;
    const follower = followInProcess(begin, neverThrowing(take, name, this.#logger));
    if (this.#closing.signal.aborted) void follower.close();
    else followers.add(follower);
    return {
      caughtUp: follower.caughtUp,
      close: () => {
        followers.delete(follower);
        return follower.close();
      },
    };
  }

  consume(spec: ConsumerSpec, handle: (message: BusMessage, signal: AbortSignal) => Promise<void>): Consumption {
    if (spec.begin === "new") this.#streams.get(spec.stream)!.beginAtEnd(spec.durable);
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
    const followers = [...this.#followers.values()].flatMap((some) => [...some]);
    await Promise.all([...this.#consumptions, ...followers].map((one) => one.close()));
  }

  async #handleAll(
    spec: ConsumerSpec,
    handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
    stop: AbortSignal,
  ): Promise<void> {
    const { stream, durable } = spec;
    while (!stop.aborted) {
      const handled = await this.#inTurn(`${stream} ${durable}`, () => this.#handleNext(spec, handle, stop));
      if (!handled) await this.#nextMessage(stream, durable, stop);
    }
  }

  /** False when there is nothing to handle. */
  async #handleNext(
    spec: ConsumerSpec,
    handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
    stop: AbortSignal,
  ): Promise<boolean> {
    const { durable } = spec;
    const stream = this.#streams.get(spec.stream)!;
    const next = stream.next(durable);
    if (next === undefined || stop.aborted) return false;
    try {
      await this.#handleOrBury(next.message, spec, handle);
      stream.done(durable, next.message.sequence);
    } catch {
      // The handler tells of its failures itself; here one only means that the message comes again.
      stream.failed(durable);
      const pause = redeliveryPause(next.failures + 1, this.#pauses);
      await setTimeout(pause, undefined, { signal: stop, ref: false }).catch(() => undefined); // or told to stop
    }
    return true;
  }

  async #handleOrBury(
    message: BusMessage,
    spec: ConsumerSpec,
    handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { signal } = this.#closing;
    try {
      await handle(message, signal);
    } catch (error) {
      if (!(error instanceof PoisonMessageError)) throw error;
      const { subject, data, messageId } = deadLetter(message, spec, error.message);
      await this.publish(subject, data, { messageId, signal });
      this.#logger?.error({ ...spec, sequence: message.sequence, problem: error.message }, BURIED);
    }
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
