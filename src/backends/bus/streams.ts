import type { StreamName } from "./bus.ts";

/** How a stream keeps its messages. */
export interface StreamSettings {
  /** What it takes: one subject, whose last token may be `>`. */
  readonly subject: string;
  /** `limits`: messages stay, consumed or not. `workqueue`: a message is gone once the one durable consumer is done with it. */
  readonly retention: "limits" | "workqueue";
  /** How many messages of a subject stay; undefined: all. */
  readonly perSubject?: number;
  /** Milliseconds after which a message goes; undefined: never. */
  readonly maxAgeMs?: number;
}

/** A second message with an id that came within this time is dropped. */
export const DUPLICATE_WINDOW_MS = 120_000;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** The streams: every stream's settings, for both kinds of bus. */
export const streams: Readonly<Record<StreamName, StreamSettings>> = {
  /** The current state of every operator, as the relay publishes it. */
  OPS_CONFIG: { subject: "ops.config.v1.>", retention: "limits", perSubject: 1 },
  /** Audit records on their way to the database. */
  OPS_AUDIT: { subject: "ops.audit.v1", retention: "workqueue" },
  /** The latest health report of every node on every connection: `ops.health.v1.<operator uid>.<connection>.<node>`. */
  OPS_HEALTH: { subject: "ops.health.v1.>", retention: "limits", perSubject: 1, maxAgeMs: 20 * MINUTE_MS },
  /**
   * Transitions of the connections' operational states: `ops.state.v1.<operator uid>.<connection>`. Without an age: the last one is what the next
   * one follows, and a good link may have none for years.
   */
  OPS_STATE: { subject: "ops.state.v1.>", retention: "limits", perSubject: 500 },
  /** Messages that nobody can use, for a look: `ops.dlq.v1.<stream>`. */
  OPS_DLQ: { subject: "ops.dlq.v1.>", retention: "limits", perSubject: 1_000, maxAgeMs: 30 * DAY_MS },
  /** How far the durable consumers are with a message that fails again and again: `ops.attempts.v1.<stream>.<durable>`. */
  OPS_ATTEMPTS: { subject: "ops.attempts.v1.>", retention: "limits", perSubject: 1, maxAgeMs: DAY_MS },
};

/** The streams' names. */
export const streamNames = Object.keys(streams) as StreamName[];

/** The stream that takes the subject. @throws TypeError when none does: a bug */
export function streamOf(subject: string): StreamName {
  const found = streamNames.find((name) => takes(streams[name].subject, subject));
  if (found === undefined) throw new TypeError(`no stream takes ${subject}`);
  return found;
}

function takes(pattern: string, subject: string): boolean {
  return pattern.endsWith(">") ? subject.startsWith(pattern.slice(0, -1)) : subject === pattern;
}
