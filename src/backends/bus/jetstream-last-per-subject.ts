import { BusUnavailableError, type BusMessage, type StreamName } from "./bus.ts";
import { delivery } from "./delivery.ts";
import { makeReader } from "./jetstream-reader.ts";
import type { NatsSession } from "./nats-session.ts";
import { REQUEST_TIMEOUT } from "./pull.ts";

const BATCH = 256;
/** The statuses that say: there is no more. */
const NO_MORE: readonly number[] = [404, REQUEST_TIMEOUT];

/**
 * Reads the last message of every subject through a consumer made for it, which only one that may have others beside it can: not a
 * work queue. @throws BusUnavailableError, NatsError
 */
export async function readLastPerSubject(
  session: NatsSession,
  stream: StreamName,
  take: (message: BusMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = await makeReader(session, stream);
  try {
    let read = 0;
    let lost = false;
    let { pending } = reader;
    while (pending > 0) {
      signal.throwIfAborted();
      const status = await reader.pull(
        { batch: Math.min(BATCH, pending), waitMs: 0 },
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
        throw new BusUnavailableError(`read the last messages of ${stream}: ${status.code} ${status.description}`);
    }
    signal.throwIfAborted();
  } finally {
    await reader.remove();
  }
}
