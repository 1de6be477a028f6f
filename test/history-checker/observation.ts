/** What a watcher saw and what really happened, as plain data: the input of the validator. Revisions are numbers here (tests stay far below 2^53). */

/** A position as a token names it. */
export interface SeenPosition {
  readonly revision: number;
  /** Lower-case hex. */
  readonly fingerprint: string;
}

/** One event of a message. `content` is the SHA-256 of the operator's canonical bytes. */
export type SeenEvent =
  | { readonly id: string; readonly uid: string; readonly type: "upsert"; readonly content: string }
  | { readonly id: string; readonly uid: string; readonly type: "removed"; readonly cause: "DELETED" | "LEFT_FILTER" };

/** One message of a watch. Within a snapshot `position` is undefined. */
export type SeenMessage =
  | { readonly type: "changes"; readonly events: readonly SeenEvent[]; readonly position: SeenPosition | undefined }
  | { readonly type: "bookmark"; readonly initialComplete: boolean; readonly position: SeenPosition };

/** One stream, from its request to its end. */
export interface SeenStream {
  /** Which of the service's processes answered it. */
  readonly server: string;
  /** Where it began: after a position, with a snapshot, or at the moment it was opened. */
  readonly start: SeenPosition | "snapshot" | "now";
  readonly messages: readonly SeenMessage[];
}

/** All streams of one watcher, in the order they were opened. */
export interface Watcher {
  readonly name: string;
  /** The filter, evaluated by the test's own means on the truth's states. */
  readonly matches: (state: TrueState) => boolean;
  readonly streams: readonly SeenStream[];
}

/** An operator as one revision left it. */
export interface TrueState {
  readonly id: string;
  readonly uid: string;
  readonly content: string;
  readonly deleted: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly adminState: string;
}

/** One revision as the database holds it. */
export interface TrueRevision {
  readonly position: SeenPosition;
  readonly changes: readonly TrueState[];
}

/** A write that was acknowledged with this position; `content` as above. */
export interface AcknowledgedWrite {
  readonly id: string;
  readonly position: SeenPosition;
  readonly content: string;
}
