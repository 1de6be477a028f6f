import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { WatchOperatorsRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { openSessions, watch } from "./grpc-client.ts";
import { frameOf } from "./grpc-frames.ts";

export const WATCH_OPERATORS = "/ops.v1.OperatorService/WatchOperators";

/** Bookmarks are shorter, changes longer: each holds a whole operator. */
const SHORTEST_CHANGE = 700;
const PER_CONNECTION = 125;
const LATE_MS = 30_000;

/** Changes only, from now on, and the fewest bookmarks. */
const request = frameOf(
  toBinary(
    WatchOperatorsRequestSchema,
    create(WatchOperatorsRequestSchema, { bookmarkInterval: durationFromMs(60_000) }),
  ),
);

/** When changes arrived, on all streams. */
export interface Arrivals {
  /** Of the first and of the last one, by performance.now(). */
  readonly first: number;
  readonly last: number;
}

export interface WatchStreams {
  /** Resolves when every stream has got this many changes since the call. @throws Error when a stream has ended */
  next(changes: number): Promise<Arrivals>;
  close(): void;
}

/** Opens watches and resolves when each has had its first message. */
export async function openWatches(url: string, path: string, count: number): Promise<WatchStreams> {
  const sessions = await openSessions(url, Math.ceil(count / PER_CONNECTION));
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined); // heard by whoever waits
  const started = Promise.withResolvers<void>();
  let waiting = count;
  let expected = 0;
  let first = 0;
  let done = Promise.withResolvers<Arrivals>();
  const onChange = (): void => {
    if (expected === 0) return;
    const now = performance.now();
    if (first === 0) first = now;
    expected--;
    if (expected === 0) done.resolve({ first, last: now });
  };
  const streams = Array.from({ length: count }, (_, n) => {
    const session = sessions[Math.floor(n / PER_CONNECTION)];
    if (session === undefined) throw new Error("no session");
    let isOpen = false;
    return watch(session, path, request, {
      onMessage: (length) => {
        if (isOpen) return length >= SHORTEST_CHANGE ? onChange() : undefined;
        isOpen = true;
        if (--waiting === 0) started.resolve();
      },
      onEnd: failed.reject,
    });
  });
  await Promise.race([started.promise, failed.promise]);
  return {
    next: (changes) => {
      expected = changes * count;
      first = 0;
      done = Promise.withResolvers();
      const late = AbortSignal.timeout(LATE_MS);
      late.addEventListener("abort", () => done.reject(new Error(`${expected} changes didn't arrive`)));
      return Promise.race([done.promise, failed.promise]);
    },
    close: () => {
      for (const stream of streams) stream.close();
      for (const session of sessions) session.destroy();
    },
  };
}
