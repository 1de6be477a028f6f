import { AckPolicy, DeliverPolicy, nanos } from "nats";
import { BusUnavailableError, type BusMessage, type StreamName } from "./bus.ts";
import { delivery } from "./delivery.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull } from "./pull.ts";
import { streams } from "./streams.ts";

const BATCH = 256;
/** Milliseconds after which the server forgets a reader that is gone. */
const FORGET_AFTER_MS = 30_000;
/** The statuses that say: there is no more. */
const NO_MORE: readonly number[] = [404, 408];

/**
 * Reads the last message of every subject through a consumer made for it, which only one that may have others beside it can: not a
 * work queue. @throws BusUnavailableError, NatsError
 */
export async function readLastPerSubject(
  { connection, manager }: NatsSession,
  stream: StreamName,
  take: (message: BusMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const { name, num_pending: expected } = await manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subject: streams[stream].subject,
    inactive_threshold: nanos(FORGET_AFTER_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  try {
    let read = 0;
    let lost = false;
    let pending = expected;
    while (pending > 0) {
      signal.throwIfAborted();
      const request = { stream, consumer: name, batch: Math.min(BATCH, pending), waitMs: 0 };
      const status = await pull(
        connection,
        request,
        (one) => {
          const delivered = delivery(one);
          // Nothing is sent twice, so a gap is a loss.
          lost ||= delivered.consumerSequence !== ++read;
          pending = delivered.pending;
          if (!lost) take(delivered.message);
        },
        signal,
      );
      if (lost) throw new BusUnavailableError(`read the last messages of ${stream}: some were lost on the way`);
      if (status !== undefined && NO_MORE.includes(status.code)) break;
      if (status !== undefined)
        throw new BusUnavailableError(`read the last messages of ${stream}: ${status.description}`);
    }
    signal.throwIfAborted();
  } finally {
    await manager.consumers.delete(stream, name).catch(() => undefined); // the server forgets it by itself
  }
}
