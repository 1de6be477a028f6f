import { headers as natsHeaders } from "nats";
import { unlessAborted } from "../unless-aborted.ts";
import {
  BusUnavailableError,
  WrongLastSequenceError,
  type Bus,
  type BusMessage,
  type Consumption,
  type ConsumerSpec,
  type PublishOptions,
  type StreamName,
} from "./bus.ts";
import { consumeFromJetStream } from "./jetstream-consumption.ts";
import { readLastPerSubject } from "./jetstream-last-per-subject.ts";
import { storedMessage } from "./jetstream-message.ts";
import { API_ERROR, apiErrorCode, busError, isWrongLastSequence } from "./nats-errors.ts";
import { NatsLink, type NatsLinkOptions } from "./nats-link.ts";
import type { NatsSession } from "./nats-session.ts";
import { REDELIVERY_PAUSES, type RedeliveryPauses } from "./redelivery.ts";
import { streamOf, streams } from "./streams.ts";

export interface JetStreamBusOptions extends NatsLinkOptions {
  /** Before what couldn't be handled comes again. */
  readonly pauses?: RedeliveryPauses;
}

/** Opens a bus on NATS JetStream, at once: it is connected as soon as a server answers, and again whenever it was lost. */
export function openJetStreamBus({ pauses = REDELIVERY_PAUSES, ...options }: JetStreamBusOptions): Bus {
  return new JetStreamBus(new NatsLink(options), pauses);
}

class JetStreamBus implements Bus {
  readonly durable = true;
  readonly #link: NatsLink;
  readonly #pauses: RedeliveryPauses;
  readonly #closing = new AbortController();
  readonly #consumptions = new Set<Consumption>();

  constructor(link: NatsLink, pauses: RedeliveryPauses) {
    this.#link = link;
    this.#pauses = pauses;
  }

  get connected(): boolean {
    return this.#link.healthy;
  }

  publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    const { messageId, expectedLastSequence } = options;
    const streamName = streamOf(subject);
    return this.#call(`publish to ${streamName}`, options.signal, async ({ jetstream }) => {
      const headers = natsHeaders();
      for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
      const expect = {
        streamName,
        ...(expectedLastSequence === undefined ? {} : { lastSequence: expectedLastSequence }),
      };
      try {
        const ack = await jetstream.publish(subject, data, {
          headers,
          expect,
          ...(messageId === undefined ? {} : { msgID: messageId }),
        });
        return ack.seq;
      } catch (cause) {
        if (!isWrongLastSequence(cause) || expectedLastSequence === undefined) throw cause;
        throw new WrongLastSequenceError(subject, expectedLastSequence);
      }
    });
  }

  lastMessage(stream: StreamName, signal: AbortSignal): Promise<BusMessage | undefined> {
    return this.#call(`read the last message of ${stream}`, signal, async ({ manager }) => {
      try {
        const found = await manager.streams.getMessage(stream, { last_by_subj: streams[stream].subject });
        return storedMessage(found);
      } catch (error) {
        if (apiErrorCode(error) === API_ERROR.messageNotFound) return undefined;
        throw error;
      }
    });
  }

  lastSequence(stream: StreamName, signal: AbortSignal): Promise<number> {
    return this.#call(
      `read the last sequence of ${stream}`,
      signal,
      async ({ manager }) => (await manager.streams.info(stream)).state.last_seq,
    );
  }

  lastPerSubject(stream: StreamName, take: (message: BusMessage) => void, signal: AbortSignal): Promise<void> {
    return this.#call(`read the last messages of ${stream}`, signal, (session) =>
      readLastPerSubject(session, stream, take, signal),
    );
  }

  consume(spec: ConsumerSpec, handle: (message: BusMessage, signal: AbortSignal) => Promise<void>): Consumption {
    const deps = { link: this.#link, pauses: this.#pauses, closing: this.#closing.signal };
    const running = consumeFromJetStream(deps, spec, handle);
    const consumption = {
      close: async () => {
        await running.close();
        this.#consumptions.delete(consumption);
      },
    };
    this.#consumptions.add(consumption);
    return consumption;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
    await this.#link.close();
  }

  async #call<T>(action: string, signal: AbortSignal, call: (session: NatsSession) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const { session } = this.#link;
    if (session === undefined || this.#closing.signal.aborted)
      throw new BusUnavailableError(`${action}: not connected`);
    try {
      return await unlessAborted(call(session), signal);
    } catch (cause) {
      const error = busError(action, cause);
      if (error instanceof BusUnavailableError) this.#link.doubt();
      throw error;
    }
  }
}
