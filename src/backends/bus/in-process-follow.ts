import type { BusMessage, Following } from "./bus.ts";
import { closedTooEarly } from "./follower.ts";

/** One who follows a stream in this process. */
export interface InProcessFollower extends Following {
  /** A message that the stream has taken just now. */
  offer(message: BusMessage): void;
}

/** Hands over what is there, then what is offered, in order and never within the caller's own turn. */
export function followInProcess(begin: readonly BusMessage[], take: (message: BusMessage) => void): InProcessFollower {
  let waiting = [...begin];
  let scheduled = false;
  let stopped = false;
  const caughtUp = Promise.withResolvers<void>();
  caughtUp.promise.catch(() => undefined); // not everybody asks

  const handOver = (): void => {
    scheduled = false;
    const messages = waiting;
    waiting = [];
    for (const message of messages) {
      if (stopped) return;
      take(message);
    }
    if (!stopped) caughtUp.resolve();
  };
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(handOver);
  };
  schedule();
  return {
    caughtUp: caughtUp.promise,
    offer: (message) => {
      waiting.push(message);
      schedule();
    },
    close: async () => {
      stopped = true;
      caughtUp.reject(closedTooEarly());
    },
  };
}
