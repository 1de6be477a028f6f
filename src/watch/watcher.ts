import { encodeToken, type Position } from "@operator-management/client";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import { historyChanged } from "../catalog/position-errors.ts";
import type { Revision } from "../catalog/revision.ts";
import type { Ring } from "../catalog/ring.ts";
import type { Filter } from "../filter/filter.ts";
import type { FrameCache } from "./frame-cache.ts";
import type { SnapshotSlots } from "./snapshot-slots.ts";
import { revisionCompacted, watchTooSlow } from "./stream-errors.ts";
import type { BookmarkFrame, ChangesFrame, WatchFrame } from "./watch-frame.ts";
import type { WatchQuery, WatchStart } from "./watch-start.ts";

const CHUNK_BYTES = 512 * 1024;

/** What all watches share. */
export interface WatchSources {
  readonly catalog: Catalog;
  readonly frames: FrameCache;
  readonly snapshots: SnapshotSlots;
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
  const { catalog, frames } = sources;
  const { filter, start, bookmarkMs } = query;
  let position =
    start.kind === "snapshot"
      ? yield* snapshot(sources, query, progress, signal)
      : await startingPosition(catalog, start, signal);
  progress.cursor = position.revision;
  if (start.kind === "snapshot" && position.revision < catalog.ring.floor) throw watchTooSlow();
  let ring = ringFor(position, catalog);
  yield bookmark(position, filter, catalog.staleSince, start.kind === "snapshot");
  let bookmarkTime = performance.now() + bookmarkMs;
  for (;;) {
    signal.throwIfAborted();
    if (catalog.ring !== ring) ring = ringFor(position, catalog);
    if (position.revision < ring.floor) throw watchTooSlow();
    const revision = ring.after(position.revision);
    if (revision !== undefined) {
      position = positionOf(revision, ring);
      progress.cursor = revision.revision;
      const frame = frames.frameOf(revision, position, filter);
      if (frame.events.length > 0) {
        yield frame;
        bookmarkTime = performance.now() + bookmarkMs;
      }
    } else if (performance.now() >= bookmarkTime) {
      yield bookmark(position, filter, catalog.staleSince, false);
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
  const turn = snapshots.acquire(signal);
  let release = await within(turn, bookmarkMs);
  while (release === undefined) {
    yield upserts([]); // the sign of life that the client counts on, while others have their snapshots
    release = await within(turn, bookmarkMs);
  }
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
    release();
  }
}

/** What the promise resolves to, or undefined if that takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  promise.catch(() => undefined); // whoever waits for it next hears of it, and nobody has to
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function upserts(entries: readonly CatalogEntry[]): ChangesFrame {
  return { kind: "changes", events: entries.map((entry) => ({ kind: "upsert", entry })), token: "" };
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
  staleSince: Date | undefined,
  initialComplete: boolean,
): BookmarkFrame {
  return { kind: "bookmark", token: encodeToken(position, filter.hash), initialComplete, staleSince };
}

/** Resolves at the catalog's next change or after the time; rejects with the signal's reason. Leaves no listener behind. */
async function nextChange(catalog: Catalog, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const aborted = (): void => reject(signal.reason);
  const timer = setTimeout(resolve, Math.max(ms, 0));
  const unsubscribe = catalog.subscribe(resolve);
  signal.addEventListener("abort", aborted);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    unsubscribe();
    signal.removeEventListener("abort", aborted);
  }
}
