import { headers as natsHeaders } from "nats";
import { unlessAborted } from "../unless-aborted.ts";
import {
  BusUnavailableError,
  WrongLastSequenceError,
  type Bus,
  type BusMessage,
  type Consumption,
  type ConsumerSpec,
  type Following,
  type PublishOptions,
  type StreamName,
} from "./bus.ts";
import { neverThrowing } from "./follower.ts";
import { consumeFromJetStream, type ConsumptionDeps } from "./jetstream-consumption.ts";
import { followJetStream } from "./jetstream-follow.ts";
import { readLastPerSubject } from "./jetstream-last-per-subject.ts";
import { lastStored } from "./jetstream-message.ts";
import { busError, isWrongLastSequence } from "./nats-errors.ts";
import { NatsLink, type NatsLinkOptions } from "./nats-link.ts";
import type { NatsSession } from "./nats-session.ts";
import { REDELIVERY_PAUSES, type RedeliveryPauses } from "./redelivery.ts";
import { streamOf } from "./streams.ts";

export interface JetStreamBusOptions extends NatsLinkOptions {
  /** Before what couldn't be handled comes again. */
  readonly pauses?: RedeliveryPauses;
  /** Milliseconds after which a message of which nobody was heard comes again. */
  readonly ackWaitMs?: number;
}

/** Long enough for a pod that is short of CPU, and for a connection to be made again. */
const ACK_WAIT_MS = 10_000;

/** Opens a bus on NATS JetStream, at once: it is connected as soon as a server answers, and again whenever it was lost. */
export function openJetStreamBus(options: JetStreamBusOptions): Bus {
  const { pauses = REDELIVERY_PAUSES, ackWaitMs = ACK_WAIT_MS, logger } = options;
  return new JetStreamBus(new NatsLink(options), { pauses, ackWaitMs, logger });
}

type ConsumptionOptions = Pick<ConsumptionDeps, "pauses" | "ackWaitMs" | "logger">;

class JetStreamBus implements Bus {
  readonly durable = true;
  readonly #link: NatsLink;
  readonly #options: ConsumptionOptions;
  readonly #closing = new AbortController();
  /** Consumptions and followers. */
  readonly #running = new Set<{ close(): Promise<void> }>();

  constructor(link: NatsLink, options: ConsumptionOptions) {
    this.#link = link;
    this.#options = options;
  }

  get connected(): boolean {
    return this.#link.healthy;
  }

  publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    const { messageId, expectedLastSequence, expectedLastSubjectSequence } = options;
    const expected = expectedLastSubjectSequence ?? expectedLastSequence;
    const streamName = streamOf(subject);
    return this.#call(`publish to ${streamName}`, options.signal, async ({ jetstream }) => {
      const headers = natsHeaders();
      for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
      const expect = {
        streamName,
        ...(expectedLastSequence === undefined ? {} : { lastSequence: expectedLastSequence }),
        ...(expectedLastSubjectSequence === undefined ? {} : { lastSubjectSequence: expectedLastSubjectSequence }),
      };
      try {
        const ack = await jetstream.publish(subject, data, {
          headers,
          expect,
          ...(messageId === undefined ? {} : { msgID: messageId }),
        });
        return ack.seq;
      } catch (cause) {
        if (!isWrongLastSequence(cause) || expected === undefined) throw cause;
        throw new WrongLastSequenceError(subject, expected);
      }
    });
  }

  lastMessage(stream: StreamName, signal: AbortSignal): Promise<BusMessage | undefined> {
    return this.#call(`read the last message of ${stream}`, signal, (session) => lastStored(session, stream));
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
    const deps = { ...this.#options, link: this.#link, closing: this.#closing.signal };
    return this.#keep(consumeFromJetStream(deps, spec, handle));
  }

  follow(stream: StreamName, take: (message: BusMessage) => void): Following {
    const { logger } = this.#options;
    const deps = { link: this.#link, closing: this.#closing.signal };
    return this.#keep(followJetStream(deps, stream, neverThrowing(take, stream, logger)));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#running].map((one) => one.close()));
    await this.#link.close();
  }

  /** The same, which is closed with the bus if it wasn't before. */
  #keep<T extends { close(): Promise<void> }>(running: T): T {
    const kept = {
      ...running,
      close: async () => {
        await running.close();
        this.#running.delete(kept);
      },
    };
    this.#running.add(kept);
    return kept;
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
