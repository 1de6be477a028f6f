import { describe, expect, it } from "vitest";
import type {
  AcknowledgedWrite,
  SeenEvent,
  SeenMessage,
  SeenPosition,
  SeenStream,
  TrueRevision,
  TrueState,
  Watcher,
} from "./observation.ts";
import { resumedElsewhere, validate, type Guarantee } from "./validate.ts";

const at = (revision: number): SeenPosition => ({ revision, fingerprint: `f${revision}` });
const state = (id: string, content: string, team: string, deleted = false): TrueState => ({
  id,
  uid: `uid-${id}`,
  content,
  deleted,
  labels: { team },
  adminState: "ENABLED",
});
const revision = (number: number, ...changes: TrueState[]): TrueRevision => ({ position: at(number), changes });
const upsert = (id: string, content: string): SeenEvent => ({ id, uid: `uid-${id}`, type: "upsert", content });
const removed = (id: string, cause: "DELETED" | "LEFT_FILTER"): SeenEvent => ({
  id,
  uid: `uid-${id}`,
  type: "removed",
  cause,
});
const changes = (position: SeenPosition | undefined, ...events: SeenEvent[]): SeenMessage => ({
  type: "changes",
  events,
  position,
});
const bookmark = (position: SeenPosition, initialComplete = false): SeenMessage => ({
  type: "bookmark",
  initialComplete,
  position,
});

/** a enters, b and c come together, a leaves the filter, b is deleted, d isn't for the filter. */
const truth: readonly TrueRevision[] = [
  revision(1, state("a", "a1", "red")),
  revision(2, state("b", "b2", "red"), state("c", "c2", "red")),
  revision(3, state("a", "a3", "blue")),
  revision(4, state("d", "d4", "blue")),
  revision(5, state("b", "b2", "red", true)),
  revision(6, state("c", "c6", "red")),
];
const afterSnapshotAt2: readonly SeenMessage[] = [
  changes(undefined, upsert("a", "a1"), upsert("b", "b2")),
  changes(undefined, upsert("c", "c2")),
  bookmark(at(2), true),
  changes(at(3), removed("a", "LEFT_FILTER")),
  bookmark(at(4)),
];
const resumedAt4: readonly SeenMessage[] = [
  bookmark(at(4)),
  changes(at(5), removed("b", "DELETED")),
  changes(at(6), upsert("c", "c6")),
];

type UnplacedStream = Omit<SeenStream, "server"> & Partial<SeenStream>;
const watcher = (...streams: UnplacedStream[]): Watcher => ({
  name: "red",
  matches: ({ labels }) => labels.team === "red",
  streams: streams.map((stream) => ({ server: "pod-0", ...stream })),
});
/** Saw two revisions at one pod, then went on with its token at another. */
const moved = (messages: readonly SeenMessage[], start: SeenStream["start"] = at(2)): Watcher =>
  watcher({ start: at(0), messages: [first, second] }, { server: "pod-1", start, messages });
const honest = watcher({ start: "snapshot", messages: afterSnapshotAt2 }, { start: at(4), messages: resumedAt4 });
const broken = (messages: readonly SeenMessage[], start: SeenStream["start"] = at(0)): Watcher =>
  watcher({ start, messages });
const writes: readonly AcknowledgedWrite[] = [{ id: "c", position: at(6), content: "c6" }];

const first = changes(at(1), upsert("a", "a1"));
const second = changes(at(2), upsert("b", "b2"), upsert("c", "c2"));

describe("the validator of watch histories", () => {
  it("finds nothing wrong with an honest watcher that took a snapshot and resumed", () => {
    expect(validate(truth, [honest], writes)).toEqual([]);
  });

  it("finds nothing wrong with a watcher that asked again from an older token", () => {
    const again = watcher({ start: at(0), messages: [first, second] }, { start: at(1), messages: [second] });
    expect(validate(truth, [again], writes)).toEqual([]);
  });

  it("finds nothing wrong with a watcher that went on at another pod, and counts that it did", () => {
    const honestlyMoved = moved([bookmark(at(2)), changes(at(3), removed("a", "LEFT_FILTER"))]);
    expect(validate(truth, [honestlyMoved], writes)).toEqual([]);
    expect(resumedElsewhere(honestlyMoved)).toBe(1);
    expect(resumedElsewhere(honest)).toBe(0);
  });

  const table: readonly [Guarantee, string, Watcher][] = [
    ["Ordered", "a revision after a later one", broken([second, first])],
    ["Ordered", "a bookmark that goes back", broken([first, second, bookmark(at(1))])],
    ["Unique", "a revision that comes again later", broken([first, second, first])],
    [
      "Unique",
      "a revision that comes again after a resume past it",
      watcher({ start: at(0), messages: [first, second] }, { start: at(2), messages: [second] }),
    ],
    [
      "Unique",
      "an operator twice in one message",
      broken([first, changes(at(2), upsert("b", "b2"), upsert("c", "c2"), upsert("c", "c2"))]),
    ],
    ["Atomic", "half of a revision", broken([first, changes(at(2), upsert("b", "b2"))])],
    [
      "Atomic",
      "a revision in two messages",
      broken([first, changes(at(2), upsert("b", "b2")), changes(at(2), upsert("c", "c2"))]),
    ],
    ["Atomic", "changes without a position", broken([first, changes(undefined, upsert("b", "b2"))])],
    [
      "Filter",
      "an operator that the filter excludes",
      broken([bookmark(at(3)), changes(at(4), upsert("d", "d4"))], at(3)),
    ],
    ["Filter", "the wrong cause of a removal", broken([changes(at(3), removed("a", "DELETED"))], at(2))],
    [
      "Filter",
      "a snapshot with a stranger",
      broken([changes(undefined, upsert("a", "a1"), upsert("z", "z1")), bookmark(at(1), true)], "snapshot"),
    ],
    ["Filter", "an operator that left shown as still there", broken([changes(at(3), upsert("a", "a3"))], at(2))],
    ["Resumable", "a resumed stream that skips the next revision", broken([changes(at(6), upsert("c", "c6"))], at(4))],
    ["Resumable", "a resumed stream whose first bookmark skips one", broken([bookmark(at(6))], at(4))],
    ["Resumable", "another pod that goes on later than the token", moved([changes(at(5), removed("b", "DELETED"))])],
    ["Resumable", "another pod whose first bookmark is past what it didn't send", moved([bookmark(at(3))])],
    ["Unique", "another pod that sends again what is before the token", moved([second])],
    ["Ordered", "another pod whose first bookmark is before the token", moved([bookmark(at(1))])],
    ["Authentic", "another pod with another history", moved([bookmark({ revision: 3, fingerprint: "fork" })])],
    [
      "Resumable",
      "a list again at another pod in spite of a token",
      moved([changes(undefined, upsert("a", "a1")), bookmark(at(1), true)], "snapshot"),
    ],
    ["Bookmarkable", "a bookmark before what it covers", broken([first, bookmark(at(2)), second])],
    ["Reliable", "a gap in the middle of a stream", broken([first, changes(at(3), removed("a", "LEFT_FILTER"))])],
    [
      "Reliable",
      "a snapshot that lacks an operator",
      broken([changes(undefined, upsert("a", "a1")), bookmark(at(2), true)], "snapshot"),
    ],
    ["Authentic", "other bytes than the history's", broken([changes(at(1), upsert("a", "forged"))])],
    [
      "Authentic",
      "a fingerprint that the history doesn't have",
      broken([changes({ revision: 1, fingerprint: "forged" }, upsert("a", "a1"))]),
    ],
    [
      "Authentic",
      "a snapshot with other bytes",
      broken([changes(undefined, upsert("a", "forged")), bookmark(at(1), true)], "snapshot"),
    ],
  ];
  it.each(table)("reports %s for %s", (guarantee, _, dishonest) => {
    expect(validate(truth, [dishonest], writes).map((violation) => violation.guarantee)).toContain(guarantee);
  });

  it("reports Durable for an acknowledged write that the history lacks", () => {
    const lost: AcknowledgedWrite = { id: "c", position: at(7), content: "c7" };
    expect(validate(truth, [honest], [lost]).map((violation) => violation.guarantee)).toEqual(["Durable"]);
  });

  it("reports Durable for a write whose position now holds something else", () => {
    const overwritten: AcknowledgedWrite = { id: "c", position: { revision: 6, fingerprint: "fork" }, content: "c6" };
    expect(validate(truth, [honest], [overwritten]).map((violation) => violation.guarantee)).toEqual(["Durable"]);
  });

  it("reports a hole in the history itself", () => {
    const holed = truth.filter(({ position }) => position.revision !== 4);
    expect(validate(holed, [], []).map((violation) => violation.guarantee)).toContain("Reliable");
  });
});
