import { createInbox, JSONCodec, nanos, type Msg, type NatsConnection } from "nats";
import { BusUnavailableError } from "./bus.ts";

/** What to ask a consumer for. */
export interface PullRequest {
  readonly stream: string;
  readonly consumer: string;
  readonly batch: number;
  /** How long the server waits for messages, in milliseconds; 0: it gives what is there. */
  readonly waitMs: number;
}

/** The server's status instead of a message, e.g. 408: nothing came in time; 503: there is no such consumer, or nobody leads it. */
export interface PullStatus {
  readonly code: number;
  readonly description: string;
}

/** The server's word that it has waited and nothing came. */
export const REQUEST_TIMEOUT = 408;

/** An answer may take this much longer than the server waits. */
const GRACE_MS = 1_500;

/**
 * Asks once for messages; resolves when all have come (with undefined), or with the status that came instead. When the signal is
 * aborted it takes the request back and resolves; `take` may be called even then, for a message that was on its way.
 * @throws BusUnavailableError when there is no answer
 */
export function pull(
  connection: NatsConnection,
  { stream, consumer, batch, waitMs }: PullRequest,
  take: (message: Msg) => void,
  signal: AbortSignal,
): Promise<PullStatus | undefined> {
  return new Promise((resolve, reject) => {
    const action = `deliver from ${stream}`;
    let taken = 0;
    const subscription = connection.subscribe(createInbox(), {
      callback: (error, message) => {
        const code = message.data?.length === 0 ? (message.headers?.code ?? 0) : 0;
        if (error !== null) end(() => reject(new BusUnavailableError(action, { cause: error })));
        else if (code >= 100) end(() => resolve({ code, description: message.headers!.description.toLowerCase() }));
        else {
          take(message);
          if (++taken === batch) end(() => resolve(undefined));
        }
      },
    });
    const end = (settle: () => void): void => {
      clearTimeout(deadline);
      signal.removeEventListener("abort", takeBack);
      if (!subscription.isClosed()) subscription.unsubscribe();
      settle();
    };
    const over = (): void =>
      end(() => (signal.aborted ? resolve(undefined) : reject(new BusUnavailableError(`${action}: no answer`))));
    // Once it is drained the server has taken note, and what it had sent before has come.
    const takeBack = (): void => void subscription.drain().catch(over);
    const deadline = setTimeout(over, waitMs + GRACE_MS);
    signal.addEventListener("abort", takeBack);
    void subscription.closed.then(over);
    const request = waitMs === 0 ? { batch, no_wait: true } : { batch, expires: nanos(waitMs) };
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSONCodec().encode(request), {
      reply: subscription.getSubject(),
    });
    if (signal.aborted) takeBack();
  });
}
