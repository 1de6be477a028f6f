import { unlessAborted } from "../unless-aborted.ts";
import { BusUnavailableError, type BusMessage, type StreamName } from "./bus.ts";
import { delivery } from "./delivery.ts";
import { lastStored } from "./jetstream-message.ts";
import { makeReader } from "./jetstream-reader.ts";
import type { NatsSession } from "./nats-session.ts";
import { REQUEST_TIMEOUT } from "./pull.ts";

const BATCH = 256;
/** The server answers after this time at the latest, so that its silence is noticed. */
const PULL_WAIT_MS = 3_000;
/** After so many of the server's waits what came is compared with the stream's end. */
const WAITS_PER_CHECK = 3;

export interface ReadingOptions {
  readonly take: (message: BusMessage) => void;
  /** Told of every good answer of the server. */
  readonly answered: () => void;
  /** Told, perhaps repeatedly, when all that the stream held at the beginning was taken. */
  readonly caughtUp: () => void;
  /** Milliseconds for the beginning. */
  readonly patienceMs: number;
  readonly stop: AbortSignal;
}

/**
 * Reads a stream's last message of every subject, then what comes; returns when it is to stop. What proves that nothing was missed: one consumer
 * numbers what it sends, it answers every few seconds, and it is as far as the stream's leader. (A consumer of one node can go on answering
 * "nothing" where its node has lost the others.) What comes first is held back until it is as far as the leader was at the beginning: the
 * consumer's node may be behind, and would tell older messages than an earlier reading did.
 * @throws BusUnavailableError, NatsError when something may have been missed
 */
export async function readOn(session: NatsSession, stream: StreamName, options: ReadingOptions): Promise<void> {
  const { take, answered, caughtUp, stop } = options;
  const soon = AbortSignal.timeout(options.patienceMs);
  /** What the stream holds for sure and did not come yet. */
  let awaited: number | undefined = await unlessAborted(endOf(session, stream), soon);
  const reader = await unlessAborted(makeReader(session, stream), soon);
  const lost = new AbortController();
  const either = AbortSignal.any([stop, lost.signal]);
  let received = 0;
  let position = 0;
  /** The last of every subject so far; undefined once it was handed over. */
  let beginning: Map<string, BusMessage> | undefined = new Map();
  const accept = (message: BusMessage): void => {
    beginning?.delete(message.subject); // so that it moves to the end
    if (beginning === undefined) take(message);
    else beginning.set(message.subject, message);
    moveTo(message.sequence);
  };
  const moveTo = (sequence: number): void => {
    position = sequence;
    if (awaited === undefined || position < awaited) return;
    awaited = undefined;
    const messages = beginning;
    beginning = undefined;
    messages?.forEach(take);
    caughtUp();
  };
  const request = { batch: BATCH, waitMs: PULL_WAIT_MS };
  try {
    moveTo(0);
    for (let waits = 1; ; waits++) {
      const before = received;
      const status = await reader.pull(
        request,
        (one) => {
          if (either.aborted) return;
          const { message, consumerSequence } = delivery(one);
          // Nothing is sent twice, so a gap is a loss.
          if (consumerSequence !== ++received) return lost.abort();
          accept(message);
        },
        either,
      );
      if (stop.aborted) return;
      if (lost.signal.aborted) throw unavailable(stream, "something was lost on the way");
      if (status !== undefined && status.code !== REQUEST_TIMEOUT) throw unavailable(stream, status.description);
      answered();
      if (status === undefined || (awaited === undefined && waits % WAITS_PER_CHECK !== 0)) continue;
      const end = await endOf(session, stream);
      // What was awaited may have been removed meanwhile.
      const overdue = awaited !== undefined && position < Math.min(awaited, end);
      if (overdue && received === before) throw unavailable(stream, "what the stream holds does not come");
      awaited = end;
      moveTo(position);
    }
  } finally {
    void reader.remove();
  }
}

const endOf = async (session: NatsSession, stream: StreamName): Promise<number> =>
  (await lastStored(session, stream))?.sequence ?? 0;

const unavailable = (stream: StreamName, why: string): BusUnavailableError =>
  new BusUnavailableError(`follow ${stream}: ${why}`);
