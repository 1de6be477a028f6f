import type { Logger } from "pino";
import type { BusMessage, StreamName } from "./bus.ts";

/** What `take` does, except that it never throws: a message that one follower can't take must not end the others' process, again and again. */
export function neverThrowing(
  take: (message: BusMessage) => void,
  stream: StreamName,
  logger: Pick<Logger, "error"> | undefined,
): (message: BusMessage) => void {
  return (message) => {
    try {
      take(message);
    } catch (error) {
      const { subject, sequence } = message;
      logger?.error({ err: error, stream, subject, sequence }, "a message that was followed could not be taken");
    }
  };
}

/** Why `caughtUp` rejects. */
export const closedTooEarly = (): Error => new Error("it was closed before it had caught up");
