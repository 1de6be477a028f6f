import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type {
  OperatorEvent,
  WatchOperatorsResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { background } from "./background.ts";
import { CatalogError } from "./catalog-error.ts";
import type { MeshClient } from "./clients.ts";
import { opsReason, retryAfterMs, violations } from "./errors.ts";
import { fullJitter, later, pause } from "./timers.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
/** For refusals that only a human can end. */
const SLOW_DELAY_MS = 30_000;
const SETTLED_MS = 1_000;
const MISSED_BOOKMARKS = 3;

/** Why the configuration had to be fetched anew. */
export type ResyncReason = "REVISION_COMPACTED" | "HISTORY_CHANGED" | "TOKEN_FOREIGN" | "TOKEN_REFUSED";

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

/** Watches until the signal aborts: resumes, starts over where it must, and never gives up. Never rejects. */
export async function watch(options: WatchOptions, target: WatchTarget, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let resync: ResyncReason | undefined;
  const wanted = (): "snapshot" | "resume" => (target.token === "" || resync !== undefined ? "snapshot" : "resume");
  while (!signal.aborted) {
    const heard = { any: false };
    const started = Date.now();
    const error = await watchOnce(options, target, signal, wanted(), resync, heard, () => (resync = undefined));
    if (signal.aborted) return;
    // A stream that ends as soon as it has begun is a failure like any other: without this a server in a loop is hammered.
    if (heard.any && Date.now() - started >= SETTLED_MS) failures = 0;
    const next = decide(error, heard.any);
    if (next.resync !== undefined) resync = next.resync;
    if (error instanceof CatalogError && error.reason === "SNAPSHOT_OLD") resync = undefined;
    target.lost(error, next.permanent);
    await pause(Math.max(retryAfterMs(error) ?? 0, delayOf(next, failures)), signal);
    failures += 1;
  }
}

async function watchOnce(
  { client, filter, bookmarkIntervalMs }: WatchOptions,
  target: WatchTarget,
  signal: AbortSignal,
  start: "snapshot" | "resume",
  reason: ResyncReason | undefined,
  heard: { any: boolean },
  onSnapshot: () => void,
): Promise<Error> {
  const stream = new AbortController();
  const stop = (): void => stream.abort(new CatalogError("CLOSED", "the catalog was closed"));
  signal.addEventListener("abort", stop);
  const silent = (): void =>
    stream.abort(new CatalogError("SILENT", `nothing was heard for ${MISSED_BOOKMARKS} bookmark intervals`));
  let cancelWatchdog = later(MISSED_BOOKMARKS * bookmarkIntervalMs, silent);
  let snapshot: Operator[] | undefined = start === "snapshot" ? [] : undefined;
  try {
    const request = {
      filter,
      startToken: start === "resume" ? target.token : "",
      initialSnapshot: start === "snapshot",
      bookmarkInterval: durationFromMs(bookmarkIntervalMs),
    };
    const contextValues = createContextValues().set(background, true);
    for await (const message of client.watchOperators(request, { signal: stream.signal, contextValues })) {
      cancelWatchdog();
      cancelWatchdog = later(MISSED_BOOKMARKS * bookmarkIntervalMs, silent);
      heard.any = true;
      target.heard();
      snapshot = take(message, target, snapshot, reason, onSnapshot);
    }
    return new CatalogError("STREAM_ENDED", "the server ended the watch without saying why");
  } catch (error) {
    // What the stream says once it is aborted depends on the transport; the reason is ours.
    if (stream.signal.aborted && stream.signal.reason instanceof Error) return stream.signal.reason;
    return error instanceof Error ? error : new Error("the watch failed", { cause: error });
  } finally {
    cancelWatchdog();
    signal.removeEventListener("abort", stop);
    stream.abort();
  }
}

/** Hands a message to the target; returns what the snapshot holds so far, undefined outside of one. */
function take(
  { message }: WatchOperatorsResponse,
  target: WatchTarget,
  snapshot: Operator[] | undefined,
  reason: ResyncReason | undefined,
  onSnapshot: () => void,
): Operator[] | undefined {
  if (message.case === "changes") {
    const { events, token } = message.value;
    if (snapshot === undefined) {
      target.apply(events, token);
      return undefined;
    }
    for (const { event } of events) if (event.case === "upsert") snapshot.push(event.value);
    return snapshot;
  }
  if (message.case !== "bookmark") return snapshot;
  const { token, initialComplete, staleSince } = message.value;
  if (snapshot !== undefined && initialComplete) {
    target.replace(snapshot, token, reason);
    onSnapshot();
    snapshot = undefined;
  } else if (snapshot === undefined && token !== "") {
    target.advance(token);
  }
  target.serverStale(staleSince === undefined ? undefined : timestampDate(staleSince));
  return snapshot;
}

interface Decision {
  readonly when: "at once" | "soon" | "slowly";
  readonly permanent: boolean;
  readonly resync?: ResyncReason;
}

/** What to do after a stream ended; `useful` is whether it brought anything. */
function decide(error: Error, useful: boolean): Decision {
  const soon: Decision = { when: "soon", permanent: false };
  const atOnce: Decision = { when: "at once", permanent: false };
  const never: Decision = { when: "slowly", permanent: true };
  switch (opsReason(error)) {
    case ErrorReason.HISTORY_CHANGED:
      return { ...atOnce, resync: "HISTORY_CHANGED" };
    case ErrorReason.REVISION_COMPACTED:
      return { ...atOnce, resync: "REVISION_COMPACTED" };
    case ErrorReason.TOKEN_FOREIGN:
      return { ...atOnce, resync: "TOKEN_FOREIGN" };
    case ErrorReason.FIELD_INVALID:
      return violations(error).some((violation) => violation.field === "start_token")
        ? { ...atOnce, resync: "TOKEN_REFUSED" }
        : never;
    case ErrorReason.STREAM_EXPIRED:
    case ErrorReason.SHUTTING_DOWN:
    case ErrorReason.WATCH_TOO_SLOW:
      return useful ? atOnce : soon;
    case ErrorReason.TOO_MANY_STREAMS:
    case ErrorReason.RATE_LIMITED:
      return { when: "slowly", permanent: false };
    default:
      return isRefusal(error) ? never : soon;
  }
}

function isRefusal(error: Error): boolean {
  if (!(error instanceof ConnectError)) return false;
  const refusals = [
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.InvalidArgument,
    Code.Unimplemented,
    Code.NotFound,
  ];
  return refusals.includes(error.code);
}

function delayOf({ when }: Decision, failures: number): number {
  if (when === "slowly") return SLOW_DELAY_MS * (0.5 + Math.random() / 2);
  // At once only the first time: a server that refuses each resumed stream gets the delays of any other failure.
  return when === "at once" && failures === 0 ? 0 : fullJitter(failures, FIRST_DELAY_MS, LONGEST_DELAY_MS);
}
