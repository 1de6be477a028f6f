import { setTimeout } from "node:timers/promises";
import { AckPolicy, DeliverPolicy, nanos, type Msg } from "nats";
import type { StreamName } from "./bus.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull, type PullRequest, type PullStatus } from "./pull.ts";
import { streams } from "./streams.ts";

/** Milliseconds after which the server forgets a reader that is gone. */
const FORGET_AFTER_MS = 30_000;
/** Nobody took the request. */
const NO_RESPONDERS = 503;
/** How often a new reader is asked again, and after how many milliseconds each time. */
const MAX_WAITS = 4;
const WAIT_MS = 250;

/** A consumer of one reader's own, kept by one node in memory: the last message of every subject, then all that come. */
export interface Reader {
  /** How many it has for now. */
  readonly pending: number;
  /** As `pull` does. A new reader isn't known to every node at once: until it has answered, it is asked again for a second. */
  pull(
    ask: Pick<PullRequest, "batch" | "waitMs">,
    take: (message: Msg) => void,
    signal: AbortSignal,
  ): Promise<PullStatus | undefined>;
  /** Tells the server that nobody reads any more, which it finds out by itself too. */
  remove(): Promise<void>;
}

/** Only on a stream that may have several consumers: not a work queue. @throws NatsError */
export async function makeReader({ connection, manager }: NatsSession, stream: StreamName): Promise<Reader> {
  const { name, num_pending: pending } = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subject: streams[stream].subject,
    inactive_threshold: nanos(FORGET_AFTER_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  let waits = 0;
  return {
    pending,
    pull: async (ask, take, signal) => {
      for (;;) {
        const status = await pull(connection, { stream, consumer: name, ...ask }, take, signal);
        if (status?.code !== NO_RESPONDERS) waits = MAX_WAITS; // it is known
        if (waits++ >= MAX_WAITS || signal.aborted) return status;
        await setTimeout(WAIT_MS, undefined, { signal }).catch(() => undefined); // or aborted, which `pull` bears
      }
    },
    remove: async () => {
      await manager.consumers.delete(stream, name).catch(() => undefined); // it is forgotten in a while
    },
  };
}
