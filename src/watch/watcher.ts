import { getDefaultHighWaterMark } from "node:stream";
import { encodeToken, type Position } from "@operator-management/client";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import { historyChanged } from "../catalog/position-errors.ts";
import type { Revision } from "../catalog/revision.ts";
import type { Ring } from "../catalog/ring.ts";
import type { Filter } from "../filter/filter.ts";
import type { Budget } from "./budget.ts";
import type { FrameCache } from "./frame-cache.ts";
import { revisionCompacted, watchTooSlow } from "./stream-errors.ts";
import { turn } from "./turn.ts";
import { changesFrame, type BookmarkFrame, type ChangesFrame, type WatchFrame } from "./watch-frame.ts";
import type { WatchQuery, WatchStart } from "./watch-start.ts";

const CHUNK_BYTES = 512 * 1024;

/** What all watches share. */
export interface WatchSources {
  readonly catalog: Catalog;
  readonly frames: FrameCache;
  /** How many snapshots may stream at once. */
  readonly snapshots: Budget;
  /** How many bytes of large frames may be on their way at once: the transport copies a frame for every stream. */
  readonly inFlight: Budget;
}

/** What others may know of a watch while it is suspended in a `yield`. */
export interface WatchProgress {
  /** The last revision that it has seen. */
  cursor: bigint | undefined;
  /** Whether a part of a snapshot waits to be taken. */
  inSnapshot: boolean;
}

/**
 * The frames of one watch: a cursor into the ring. Ends only by throwing: the signal's reason, WATCH_TOO_SLOW when the cursor falls off the
 * ring, REVISION_COMPACTED, HISTORY_CHANGED, CATALOG_BEHIND.
 */
export async function* watch(
  sources: WatchSources,
  query: WatchQuery,
  progress: WatchProgress,
  signal: AbortSignal,
): AsyncGenerator<WatchFrame, never, undefined> {
  const { catalog, frames, inFlight } = sources;
  const { filter, start, bookmarkMs } = query;
  let position =
    start.kind === "snapshot"
      ? yield* snapshot(sources, query, progress, signal)
      : await startingPosition(catalog, start, signal);
  progress.cursor = position.revision;
  if (start.kind === "snapshot" && position.revision < catalog.ring.floor) throw watchTooSlow();
  let ring = ringFor(position, catalog);
  yield bookmark(position, filter, catalog, start.kind === "snapshot");
  let bookmarkTime = performance.now() + bookmarkMs;
  for (;;) {
    signal.throwIfAborted();
    if (catalog.ring !== ring) ring = ringFor(position, catalog);
    if (position.revision < ring.floor) throw watchTooSlow();
    const revision = ring.after(position.revision);
    if (revision !== undefined) {
      const next = positionOf(revision, ring);
      const frame = frames.frameOf(revision, next, filter);
      // One that fills its stream's buffer, so that the `yield` lasts until the transport has passed it on.
      const isLarge = frame.bytes >= getDefaultHighWaterMark(false);
      const share = isLarge ? inFlight.take(frame.bytes, signal) : undefined;
      const giveBack = share && (yield* turn(share, bookmarkMs, () => bookmark(position, filter, catalog, false)));
      try {
        if (catalog.ring !== ring) continue; // reloaded while this one waited
        position = next;
        progress.cursor = next.revision;
        if (frame.events.length === 0) continue;
        yield frame;
        bookmarkTime = performance.now() + bookmarkMs;
      } finally {
        giveBack?.();
      }
    } else if (performance.now() >= bookmarkTime) {
      yield bookmark(position, filter, catalog, false);
      bookmarkTime = performance.now() + bookmarkMs;
    } else {
      await nextChange(catalog, bookmarkTime - performance.now(), signal);
    }
  }
}

/** All matching operators in parts, and the position that they are of: both are taken in one tick, and the cursor is set in it. */
async function* snapshot(
  { catalog, snapshots }: WatchSources,
  { filter, bookmarkMs }: WatchQuery,
  progress: WatchProgress,
  signal: AbortSignal,
): AsyncGenerator<ChangesFrame, Position, undefined> {
  const giveBack = yield* turn(snapshots.take(1, signal), bookmarkMs, () => upserts([]));
  try {
    const { position } = catalog;
    const entries = catalog.snapshot();
    progress.cursor = position.revision;
    progress.inSnapshot = true;
    let part: CatalogEntry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (!filter.matches(entry.keys)) continue;
      if (part.length > 0 && bytes + entry.delimited.length > CHUNK_BYTES) {
        yield upserts(part);
        signal.throwIfAborted();
        part = [];
        bytes = 0;
      }
      part.push(entry);
      bytes += entry.delimited.length;
    }
    if (part.length > 0) yield upserts(part);
    signal.throwIfAborted();
    return position;
  } finally {
    progress.inSnapshot = false;
    giveBack();
  }
}

function upserts(entries: readonly CatalogEntry[]): ChangesFrame {
  return changesFrame(
    entries.map((entry) => ({ kind: "upsert", entry })),
    "",
  );
}

async function startingPosition(catalog: Catalog, start: WatchStart, signal: AbortSignal): Promise<Position> {
  if (start.kind !== "token") return catalog.position;
  const { revision } = start.token;
  if (revision < catalog.ring.floor) throw revisionCompacted(revision, catalog.ring.floor);
  await catalog.waitFor(start.token, signal);
  return start.token;
}

/** The ring in which a watch goes on after this position. What the catalog has is from the primary, so what it denies is lost. */
function ringFor({ store, revision, fingerprint }: Position, { ring }: Catalog): Ring {
  if (!sameBytes(store, ring.store)) throw historyChanged(revision);
  if (revision < ring.floor) throw revisionCompacted(revision, ring.floor);
  if (!ring.contains(revision, fingerprint)) throw historyChanged(revision);
  return ring;
}

function positionOf({ revision }: Revision, ring: Ring): Position {
  const position = ring.positionOf(revision);
  if (position === undefined) throw new Error("after a position that is known, all are");
  return position;
}

function bookmark(
  position: Position,
  filter: Filter,
  { staleSince }: Catalog,
  initialComplete: boolean,
): BookmarkFrame {
  return { kind: "bookmark", token: encodeToken(position, filter.hash), initialComplete, staleSince };
}

/** Resolves at the catalog's next change or after the time; rejects with the signal's reason. Leaves no listener behind. */
async function nextChange(catalog: Catalog, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const aborted = (): void => reject(signal.reason);
  const timer = setTimeout(resolve, Math.max(ms, 0));
  const unsubscribe = catalog.subscribe(() => resolve());
  signal.addEventListener("abort", aborted);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    unsubscribe();
    signal.removeEventListener("abort", aborted);
  }
}
