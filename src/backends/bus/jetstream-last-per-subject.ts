import { BusUnavailableError, type BusMessage, type StreamName } from "./bus.ts";
import { delivery } from "./delivery.ts";
import { endOf } from "./jetstream-message.ts";
import { makeReader } from "./jetstream-reader.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull, REQUEST_TIMEOUT } from "./pull.ts";

const BATCH = 256;
/** How long a node may take to bring what the stream's leader has already, and how often it is asked. */
const BEHIND_WAIT_MS = 1_000;
const MAX_WAITS = 4;
/** The statuses that say: there is no more. */
const NO_MORE: readonly number[] = [404, REQUEST_TIMEOUT];

/**
 * Reads the last message of every subject through a consumer made for it, which only one that may have others beside it can: not a
 * work queue. All that the stream's leader has when it begins: the consumer's node may be behind, and is waited for. @throws BusUnavailableError,
 * NatsError
 */
export async function readLastPerSubject(
  session: NatsSession,
  stream: StreamName,
  take: (message: BusMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  let end = await endOf(session, stream);
  const reader = await makeReader(session, stream);
  try {
    let read = 0;
    let lost = false;
    let { pending } = reader;
    let position = 0;
    for (let waits = 0; pending > 0 || position < end;) {
      signal.throwIfAborted();
      const ask = pending > 0 ? { batch: Math.min(BATCH, pending), waitMs: 0 } : { batch: 1, waitMs: BEHIND_WAIT_MS };
      const request = { stream, consumer: reader.name, ...ask };
      const status = await pull(
        session.connection,
        request,
        (one) => {
          const delivered = delivery(one);
          // Nothing is sent twice, so a gap is a loss.
          lost ||= delivered.consumerSequence !== ++read;
          pending = delivered.pending;
          position = delivered.message.sequence;
          if (!lost) take(delivered.message);
        },
        signal,
      );
      if (lost) throw new BusUnavailableError(`read the last messages of ${stream}: some were lost on the way`);
      if (status === undefined) continue;
      if (!NO_MORE.includes(status.code))
        throw new BusUnavailableError(`read the last messages of ${stream}: ${status.description}`);
      pending = 0;
      if (position >= end) break;
      if (++waits > MAX_WAITS) throw new BusUnavailableError(`read the last messages of ${stream}: some do not come`);
      end = Math.min(end, await endOf(session, stream)); // what was awaited may have been removed meanwhile
    }
    signal.throwIfAborted();
  } finally {
    await reader.remove();
  }
}
