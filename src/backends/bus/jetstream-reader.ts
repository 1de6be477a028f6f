import { AckPolicy, DeliverPolicy, nanos } from "nats";
import type { StreamName } from "./bus.ts";
import type { NatsSession } from "./nats-session.ts";
import { streams } from "./streams.ts";

/** Milliseconds after which the server forgets a reader that is gone. */
const FORGET_AFTER_MS = 30_000;

/** A consumer of one reader's own, kept by one node in memory: the last message of every subject, then all that come. */
export interface Reader {
  readonly name: string;
  /** How many it has for now. */
  readonly pending: number;
  /** Tells the server that nobody reads any more, which it finds out by itself too. */
  remove(): Promise<void>;
}

/** Only on a stream that may have several consumers: not a work queue. @throws NatsError */
export async function makeReader({ manager }: NatsSession, stream: StreamName): Promise<Reader> {
  const { name, num_pending: pending } = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subject: streams[stream].subject,
    inactive_threshold: nanos(FORGET_AFTER_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  return {
    name,
    pending,
    remove: async () => {
      await manager.consumers.delete(stream, name).catch(() => undefined); // it is forgotten in a while
    },
  };
}
