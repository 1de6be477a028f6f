import { bookmark, operator, snapshot, token, untilGone, upserts } from "./frames.ts";
import { serviceError, type WatchScript } from "./mesh-server.ts";

/** Sends a snapshot and then ends as `end` does. */
export function once(end: (signal: AbortSignal) => Promise<void>, at = token(1)): WatchScript {
  return async function* ({ signal }) {
    yield* snapshot([operator("alpha", 1), operator("beta", 1)], at);
    await end(signal);
  };
}

/** An end with this error. */
export const failing =
  (...error: Parameters<typeof serviceError>) =>
  () =>
    Promise.reject(serviceError(...error));

/** Goes on from wherever, to revision `to`. */
export function resuming(to: number): WatchScript {
  return async function* ({ signal, request }) {
    yield bookmark(request.startToken);
    yield upserts([operator("alpha", to)], token(to));
    await untilGone(signal);
  };
}
