import type { SeenEvent, TrueRevision, TrueState, Watcher } from "./observation.ts";

/** The truth replayed for one watcher: what each revision must have sent it, and what its set was after each revision. */
export interface Expectation {
  /** Events by revision; a revision without any for this watcher has no entry. */
  readonly events: ReadonlyMap<number, readonly SeenEvent[]>;
  /** The watcher's set (id → content) after a revision; 0 is the empty store. */
  setAt(revision: number): ReadonlyMap<string, string>;
}

/** Replays the whole history with the watcher's filter. */
export function expectationOf(watcher: Pick<Watcher, "matches">, truth: readonly TrueRevision[]): Expectation {
  const isIn = (state: TrueState | undefined): boolean =>
    state !== undefined && !state.deleted && watcher.matches(state);
  const current = new Map<string, TrueState>();
  const events = new Map<number, SeenEvent[]>();
  const sets = new Map<number, ReadonlyMap<string, string>>([[0, new Map()]]);
  let set: ReadonlyMap<string, string> = new Map();
  for (const { position, changes } of truth) {
    const now: SeenEvent[] = [];
    const next = new Map(set);
    for (const state of [...changes].sort((a, b) => (a.id < b.id ? -1 : 1))) {
      const { id, uid, content } = state;
      const before = current.get(id);
      if (isIn(state)) {
        now.push({ id, uid, type: "upsert", content });
        next.set(id, content);
      } else if (isIn(before)) {
        now.push({ id, uid, type: "removed", cause: state.deleted ? "DELETED" : "LEFT_FILTER" });
        next.delete(id);
      }
      current.set(id, state);
    }
    if (now.length > 0) events.set(position.revision, now);
    set = next;
    sets.set(position.revision, set);
  }
  return {
    events,
    setAt: (revision) => sets.get(revision) ?? new Map(),
  };
}
