import { setTimeout } from "node:timers/promises";
import { unlessAborted } from "../unless-aborted.ts";
import type { BusMessage, Following, StreamName } from "./bus.ts";
import { closedTooEarly } from "./follower.ts";
import { readOn } from "./jetstream-reading.ts";
import type { NatsLink } from "./nats-link.ts";
import { CALL_DEADLINE_MS } from "./nats-session.ts";

/** Milliseconds until a reading must have begun, at first: servers that have no leader for a moment leave questions unanswered. */
const FIRST_PATIENCE_MS = 1_500;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

/** What a follower works with. */
export interface FollowDeps {
  readonly link: NatsLink;
  /** Aborted when the bus is closed. */
  readonly closing: AbortSignal;
}

/** Follows a stream, as `Bus.follow` says: by one reading after the other, each of which begins anew. @param take never throws */
export function followJetStream(
  { link, closing }: FollowDeps,
  stream: StreamName,
  take: (message: BusMessage) => void,
): Following {
  const stopping = new AbortController();
  const stop = AbortSignal.any([stopping.signal, closing]);
  const caughtUp = Promise.withResolvers<void>();
  caughtUp.promise.catch(() => undefined); // not everybody asks

  const run = async (): Promise<void> => {
    for (let failures = 0; !stop.aborted;) {
      const session = await link.connected(stop);
      const answered = (): void => void (failures = 0);
      try {
        const patienceMs = Math.min(CALL_DEADLINE_MS, FIRST_PATIENCE_MS * 2 ** Math.min(failures, 20));
        const options = { take, answered, caughtUp: caughtUp.resolve, patienceMs, stop };
        await unlessAborted(readOn(session, stream, options), stop);
      } catch {
        // Whatever the reason: the connection, the stream, its leader or the consumer. If it lasts, the link tells of it.
        link.doubt();
        const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures++, 20));
        await setTimeout(pause, undefined, { signal: stop });
      }
    }
  };

  const ended = run()
    .catch((error: unknown) => {
      if (!stop.aborted) throw error;
    })
    .finally(() => caughtUp.reject(closedTooEarly()));
  return {
    caughtUp: caughtUp.promise,
    close: () => {
      caughtUp.reject(closedTooEarly());
      stopping.abort();
      return ended;
    },
  };
}
