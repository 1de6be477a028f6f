import { expectationOf, type Expectation } from "./expected-events.ts";
import type { AcknowledgedWrite, SeenEvent, SeenPosition, SeenStream, TrueRevision, Watcher } from "./observation.ts";

/**
 * The guarantees of a watch, after the names that etcd's robustness tests give them
 * (https://github.com/etcd-io/etcd/tree/main/tests/robustness), plus two of our own: Authentic and Durable.
 */
export type Guarantee =
  | "Ordered" // revisions never go back within a stream
  | "Unique" // a revision comes once per watcher, also over resumes
  | "Atomic" // all of a revision's events come in one message
  | "Filter" // exactly the events that the filter lets through, with the right cause
  | "Resumable" // a stream goes on right after its token, at whichever server, and nobody who has one must begin again
  | "Bookmarkable" // everything up to a bookmark was sent before it
  | "Reliable" // nothing in between is missing
  | "Authentic" // positions and contents are those of the history
  | "Durable"; // an acknowledged write is in the history

/** One broken guarantee. */
export interface Violation {
  readonly guarantee: Guarantee;
  readonly watcher: string;
  readonly text: string;
}

/** Every violation in what the watchers saw, given what really happened. */
export function validate(
  truth: readonly TrueRevision[],
  watchers: readonly Watcher[],
  writes: readonly AcknowledgedWrite[],
): Violation[] {
  return [
    ...truthProblems(truth),
    ...writeProblems(truth, writes),
    ...watchers.flatMap((watcher) => watcherProblems(truth, watcher)),
  ];
}

/** How often a watcher went on at another server than the one before: to tell that Resumable was put to the test. */
export function resumedElsewhere({ streams }: Watcher): number {
  return streams.filter(
    ({ server, start }, index) => index > 0 && typeof start === "object" && server !== streams[index - 1]?.server,
  ).length;
}

function truthProblems(truth: readonly TrueRevision[]): Violation[] {
  return truth.flatMap(({ position }, index) =>
    position.revision === index + 1
      ? []
      : [
          {
            guarantee: "Reliable" as const,
            watcher: "history",
            text: `revision ${position.revision} stands at place ${index + 1}`,
          },
        ],
  );
}

function writeProblems(truth: readonly TrueRevision[], writes: readonly AcknowledgedWrite[]): Violation[] {
  return writes.flatMap(({ id, position, content }) => {
    const revision = truth[position.revision - 1];
    const kept =
      revision?.position.fingerprint === position.fingerprint &&
      revision.changes.some((change) => change.id === id && change.content === content);
    if (kept) return [];
    return [
      {
        guarantee: "Durable" as const,
        watcher: "writer",
        text: `the write of ${id} acknowledged at ${position.revision} is not there`,
      },
    ];
  });
}

function watcherProblems(truth: readonly TrueRevision[], watcher: Watcher): Violation[] {
  const expected = expectationOf(watcher, truth);
  const problems: Violation[] = [];
  const report = (guarantee: Guarantee, text: string): void =>
    void problems.push({ guarantee, watcher: watcher.name, text });
  // Over resumes: a revision may come again only if the watcher asked for it again, from an older token or by a snapshot.
  const delivered = new Set<number>();
  let hasToken = false;
  for (const [index, stream] of watcher.streams.entries()) {
    if (hasToken && typeof stream.start === "string") {
      report("Resumable", `stream ${index} at ${stream.server}: began anew (${stream.start}) in spite of a token`);
    }
    hasToken ||= stream.messages.some(({ position }) => position !== undefined);
    const from = typeof stream.start === "object" ? stream.start.revision : undefined;
    for (const revision of delivered) if (from === undefined || revision > from) delivered.delete(revision);
    streamProblems(truth, expected, stream, delivered, (guarantee, text) =>
      report(guarantee, `stream ${index} at ${stream.server}: ${text}`),
    );
  }
  return problems;
}

type Report = (guarantee: Guarantee, text: string) => void;

function streamProblems(
  truth: readonly TrueRevision[],
  expected: Expectation,
  stream: SeenStream,
  delivered: Set<number>,
  report: Report,
): void {
  const checkPosition = (position: SeenPosition): void => {
    const real = position.revision === 0 ? undefined : truth[position.revision - 1]?.position.fingerprint;
    if (position.revision > 0 && real !== position.fingerprint) {
      report("Authentic", `position ${position.revision} has a fingerprint that the history doesn't have`);
    }
  };
  // The newest revision that the watcher may rely on having seen; undefined until the stream has said where it stands.
  let upTo = typeof stream.start === "object" ? stream.start.revision : undefined;
  let latest: number | undefined;
  const snapshot = new Map<string, string>();
  let inSnapshot = stream.start === "snapshot";
  let resumed = typeof stream.start === "object";

  for (const message of stream.messages) {
    if (message.type === "changes" && message.position === undefined) {
      if (!inSnapshot) report("Atomic", "changes without a position outside of a snapshot");
      for (const event of message.events) {
        if (event.type === "upsert") snapshot.set(event.id, event.content);
        else report("Filter", `a removal of ${event.id} within a snapshot`);
      }
      continue;
    }
    const { position } = message;
    if (position === undefined) continue;
    checkPosition(position);
    if (message.type === "bookmark") {
      if (inSnapshot && message.initialComplete) {
        compareSnapshot(expected.setAt(position.revision), snapshot, position, report);
        inSnapshot = false;
        upTo = position.revision;
        continue;
      }
      if (upTo !== undefined && position.revision < upTo)
        report("Ordered", `a bookmark at ${position.revision} after ${upTo}`);
      for (const missed of expectedBetween(expected, upTo, position.revision)) {
        report(
          resumed ? "Resumable" : "Bookmarkable",
          `the bookmark at ${position.revision} came without revision ${missed}`,
        );
      }
      upTo = Math.max(upTo ?? 0, position.revision);
      resumed = false;
      continue;
    }
    // Twice in a row is one revision in two messages; twice otherwise is a repetition.
    if (position.revision === latest) report("Atomic", `revision ${position.revision} came in two messages`);
    else if (delivered.has(position.revision)) report("Unique", `revision ${position.revision} came twice`);
    else if (upTo !== undefined && position.revision <= upTo)
      report("Ordered", `revision ${position.revision} after ${upTo}`);
    for (const missed of expectedBetween(expected, upTo, position.revision - 1)) {
      report(resumed ? "Resumable" : "Reliable", `revision ${missed} is missing before ${position.revision}`);
    }
    compareEvents(expected.events.get(position.revision) ?? [], message.events, position, report);
    delivered.add(position.revision);
    latest = position.revision;
    upTo = Math.max(upTo ?? 0, position.revision);
    resumed = false;
  }
}

/** Revisions in (after, upTo] that had events for the watcher; none while the watcher doesn't know where it stands. */
function expectedBetween(expected: Expectation, after: number | undefined, upTo: number): number[] {
  if (after === undefined) return [];
  return [...expected.events.keys()].filter((revision) => revision > after && revision <= upTo);
}

function compareEvents(
  wanted: readonly SeenEvent[],
  seen: readonly SeenEvent[],
  position: SeenPosition,
  report: Report,
): void {
  const key = (event: SeenEvent): string =>
    `${event.type} ${event.id} ${event.uid} ${event.type === "removed" ? event.cause : ""}`;
  const seenKeys = new Set(seen.map(key));
  if (seenKeys.size !== seen.length)
    report("Unique", `revision ${position.revision} has an operator twice in one message`);
  const missing = wanted.filter((event) => !seenKeys.has(key(event)));
  const wantedByKey = new Map(wanted.map((event) => [key(event), event]));
  const extra = seen.filter((event) => !wantedByKey.has(key(event)));
  // Part of a revision breaks its atomicity; another set of events means that the filter was evaluated wrongly.
  if (extra.length > 0) report("Filter", `revision ${position.revision} sent ${extra.map(key).join(", ")}`);
  else if (missing.length > 0) {
    report(
      missing.length < wanted.length ? "Atomic" : "Filter",
      `revision ${position.revision} lacks ${missing.map(key).join(", ")}`,
    );
  }
  for (const event of seen) {
    const real = wantedByKey.get(key(event));
    if (event.type === "upsert" && real?.type === "upsert" && real.content !== event.content) {
      report("Authentic", `revision ${position.revision} sent other bytes for ${event.id}`);
    }
  }
}

function compareSnapshot(
  wanted: ReadonlyMap<string, string>,
  seen: ReadonlyMap<string, string>,
  position: SeenPosition,
  report: Report,
): void {
  for (const [id, content] of wanted) {
    if (!seen.has(id)) report("Reliable", `the snapshot at ${position.revision} lacks ${id}`);
    else if (seen.get(id) !== content)
      report("Authentic", `the snapshot at ${position.revision} has other bytes for ${id}`);
  }
  for (const id of seen.keys())
    if (!wanted.has(id)) report("Filter", `the snapshot at ${position.revision} has ${id}, which isn't in the set`);
}
