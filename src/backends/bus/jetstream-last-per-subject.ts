import { setTimeout } from "node:timers/promises";
import { BusUnavailableError, type BusMessage, type StreamName } from "./bus.ts";
import { delivery } from "./delivery.ts";
import { makeReader } from "./jetstream-reader.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull, REQUEST_TIMEOUT } from "./pull.ts";

const BATCH = 256;
/** The statuses that say: there is no more. */
const NO_MORE: readonly number[] = [404, REQUEST_TIMEOUT];
/** Nobody took the request: a new reader isn't known to every node at once. */
const NO_RESPONDERS = 503;
const NEW_READER_MS = 250;
const MAX_WAITS = 4;

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
    for (let waits = 0; pending > 0;) {
      signal.throwIfAborted();
      const request = { stream, consumer: reader.name, batch: Math.min(BATCH, pending), waitMs: 0 };
      const status = await pull(
        session.connection,
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
      if (status === undefined) continue;
      const { code, description } = status;
      if (NO_MORE.includes(code)) break;
      if (code !== NO_RESPONDERS || ++waits > MAX_WAITS)
        throw new BusUnavailableError(`read the last messages of ${stream}: ${code} ${description}`);
      await setTimeout(NEW_READER_MS, undefined, { signal });
    }
    signal.throwIfAborted();
  } finally {
    await reader.remove();
  }
}
