import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type {
  Bookmark,
  OperatorChanges,
  OperatorEvent,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { CatalogError } from "./catalog-error.ts";
import type { MeshClient } from "./clients.ts";
import { listen } from "./listen.ts";
import { delayMs, stepAfter, type ResyncReason } from "./reconnect.ts";
import { pause } from "./timers.ts";

const SETTLED_MS = 1_000;
const MISSED_BOOKMARKS = 3;

/** Who keeps what a watch brings. */
export interface WatchTarget {
  /** The position to resume from; empty: there is none yet. */
  readonly token: string;
  /** A message came: the server lives. */
  heard(): void;
  /** Since when the server's own knowledge may be old; undefined: it is current. */
  serverStale(since: Date | undefined): void;
  /** All operators at this position. Throws CatalogError SNAPSHOT_OLD when `reason` says that time can't have gone back. */
  replace(operators: readonly Operator[], token: string, reason: ResyncReason | undefined): void;
  apply(events: readonly OperatorEvent[], token: string): void;
  advance(token: string): void;
  /** The stream ended. `permanent`: repeating can't help. */
  lost(error: Error, permanent: boolean): void;
}

/** What is watched, and how. */
export interface WatchOptions {
  readonly client: MeshClient;
  readonly filter: string;
  readonly bookmarkIntervalMs: number;
}

/** One stream: how it begins, and what has come of it. */
interface Attempt {
  /** Why it begins with a snapshot although there was a position. */
  readonly reason: ResyncReason | undefined;
  /** What the snapshot holds so far; undefined outside of one. */
  snapshot: Operator[] | undefined;
  heard: boolean;
  replaced: boolean;
}

/** Watches until the signal aborts: resumes, starts over where it must, and never gives up. Never rejects. */
export async function watch(options: WatchOptions, target: WatchTarget, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let reason: ResyncReason | undefined;
  while (!signal.aborted) {
    const snapshot = target.token === "" || reason !== undefined ? [] : undefined;
    const attempt: Attempt = { reason, snapshot, heard: false, replaced: false };
    const started = Date.now();
    const error = await watchOnce(options, target, attempt, signal);
    if (signal.aborted) return;
    // A snapshot that is too old, and one that was taken, are both followed by an attempt to resume.
    if (attempt.replaced || (error instanceof CatalogError && error.reason === "SNAPSHOT_OLD")) reason = undefined;
    const step = stepAfter(error, attempt.heard);
    reason = step.resync ?? reason;
    // A stream that ends as soon as it has begun is a failure like any other: without this a server in a loop is hammered.
    if (attempt.heard && Date.now() - started >= SETTLED_MS) failures = 0;
    target.lost(error, step.permanent);
    await pause(delayMs(step, failures), signal);
    failures += 1;
  }
}

function watchOnce(
  { client, filter, bookmarkIntervalMs }: WatchOptions,
  target: WatchTarget,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<Error> {
  const request = {
    filter,
    startToken: attempt.snapshot === undefined ? target.token : "",
    initialSnapshot: attempt.snapshot !== undefined,
    bookmarkInterval: durationFromMs(bookmarkIntervalMs),
  };
  const open = (options: CallOptions) => client.watchOperators(request, options);
  const silenceMs = MISSED_BOOKMARKS * bookmarkIntervalMs;
  return listen({ open, silenceMs, who: "the catalog", signal }, ({ message }) => {
    attempt.heard = true;
    target.heard();
    if (message.case === "changes") takeChanges(message.value, target, attempt);
    else if (message.case === "bookmark") takeBookmark(message.value, target, attempt);
  });
}

function takeChanges({ events, token }: OperatorChanges, target: WatchTarget, { snapshot }: Attempt): void {
  if (snapshot === undefined) return target.apply(events, token);
  for (const { event } of events) if (event.case === "upsert") snapshot.push(event.value);
}

function takeBookmark({ token, initialComplete, staleSince }: Bookmark, target: WatchTarget, attempt: Attempt): void {
  if (attempt.snapshot === undefined) {
    target.advance(token);
  } else if (initialComplete) {
    target.replace(attempt.snapshot, token, attempt.reason);
    attempt.snapshot = undefined;
    attempt.replaced = true;
  }
  target.serverStale(staleSince === undefined ? undefined : timestampDate(staleSince));
}
