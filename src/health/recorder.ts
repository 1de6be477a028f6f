import { toBinary } from "@bufbuild/protobuf";
import { decodeToken, encodeToken, type Position } from "@operator-management/client";
import { HealthTransitionSchema, type HealthTransition } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Logger } from "pino";
import { WrongLastSequenceError, type Bus } from "../backends/bus/bus.ts";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { mapConcurrently } from "../map-concurrently.ts";
import type { RecordedState } from "./recorded-states.ts";
import { linkKey, stateSubject, type LinkId } from "./subjects.ts";
import type { HealthChange, HealthTracker } from "./tracker.ts";
import { differs, transitionTo } from "./transition.ts";

/** How often a link is tried again at once when another process has just recorded something else of it. */
const ATTEMPTS = 5;
const ROUND_INTERVAL_MS = 250;
const ROUND_DEADLINE_MS = 10_000;
const PAUSE_AFTER_FAILURE_MS = 5_000;
const LINKS_PER_ROUND = 500;
const AT_ONCE = 16;
/** A verdict that no report brought is recorded by whoever comes first: at random, so that mostly nobody comes second. */
const MAX_DELAY_MS = 2_000;

/** What a recorder needs. */
export interface RecorderDeps {
  readonly bus: Pick<Bus, "publish" | "lastMessage">;
  readonly tracker: Pick<
    HealthTracker,
    "compute" | "entryOf" | "recordedOf" | "noteRecorded" | "reached" | "subscribe"
  >;
  readonly catalog: Pick<Catalog, "position">;
  readonly logger: Pick<Logger, "warn">;
  readonly now: () => Date;
  /** For tests: the longest delay. */
  readonly maxDelayMs?: number;
}

/**
 * Records what becomes of links in the stream OPS_STATE. A transition is written only onto the one it was computed from, so however many
 * processes see the same change, it is recorded once, and a link's transitions follow each other without a gap.
 */
export class TransitionRecorder {
  /** Transitions that this process recorded since the start. */
  recorded = 0;
  readonly #deps: RecorderDeps;
  readonly #unsubscribe: () => void;
  /** Links whose change no report may have brought, and from when on this process is to record it. */
  readonly #due = new Map<string, { readonly link: LinkId; readonly from: number }>();
  readonly #closing = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #round: Promise<void> | undefined;
  #notBefore = -Infinity;
  #failing = false;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.tracker.subscribe((change) => this.#noteChange(change));
    this.#timer = setInterval(() => {
      this.#round ??= this.#recordDue().finally(() => (this.#round = undefined));
    }, ROUND_INTERVAL_MS).unref();
  }

  /**
   * Records the link's state if it differs from the last recorded one. Resolves when it is recorded, by whomever, or there is nothing to
   * record. @throws BusUnavailableError, or the signal's reason; then it is to be tried again
   */
  async consider(link: LinkId, signal: AbortSignal): Promise<void> {
    const { tracker, bus } = this.#deps;
    let missed: RecordedState | undefined;
    for (let attempt = 1; ; attempt++) {
      const recorded = tracker.recordedOf(link);
      const transition = this.#transition(link, recorded);
      if (transition === undefined) return;
      // Refused, and yet nobody recorded anything newer: the stream has lost what was recorded.
      const lost = recorded !== undefined && recorded === missed;
      try {
        await this.#publish(link, transition, lost ? 0 : (recorded?.sequence ?? 0), signal);
        return;
      } catch (error) {
        if (!(error instanceof WrongLastSequenceError) || attempt === ATTEMPTS) throw error;
        missed = recorded;
      }
      // Somebody was faster: go on from what they recorded.
      const last = await bus.lastMessage("OPS_STATE", signal);
      await tracker.reached("states", last?.sequence ?? 0, signal);
    }
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#timer);
    this.#closing.abort(new Error("the service stops"));
    await this.#round;
  }

  /** A change that time or the configuration brought wakes no consumer. */
  #noteChange({ kind, link }: HealthChange): void {
    if (kind !== "state" || this.#due.has(linkKey(link))) return;
    if (this.#transition(link, this.#deps.tracker.recordedOf(link)) === undefined) return;
    const from = performance.now() + Math.random() * (this.#deps.maxDelayMs ?? MAX_DELAY_MS);
    this.#due.set(linkKey(link), { link, from });
  }

  /** Never rejects. */
  async #recordDue(): Promise<void> {
    const links = this.#dueNow();
    if (links.length === 0) return;
    const { tracker, bus, logger } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ROUND_DEADLINE_MS)]);
    try {
      // Silence is a verdict only of somebody who has heard all there is.
      const last = await bus.lastMessage("OPS_HEALTH", signal);
      await tracker.reached("reports", last?.sequence ?? 0, signal);
      await mapConcurrently(links, AT_ONCE, async (link) => {
        await this.consider(link, signal);
        this.#due.delete(linkKey(link));
      });
      this.#failing = false;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#notBefore = performance.now() + PAUSE_AFTER_FAILURE_MS;
      if (!this.#failing)
        logger.warn({ err: error }, "transitions of links wait to be recorded: the bus does not answer");
      this.#failing = true; // once per outage
    }
  }

  #dueNow(): LinkId[] {
    const now = performance.now();
    if (now < this.#notBefore) return [];
    const links: LinkId[] = [];
    for (const [key, { link, from }] of this.#due) {
      if (from > now) continue;
      if (this.#transition(link, this.#deps.tracker.recordedOf(link)) === undefined) this.#due.delete(key);
      else links.push(link);
      if (links.length === LINKS_PER_ROUND) break;
    }
    return links;
  }

  /** What is to be recorded of the link now; undefined when its state is the recorded one, or this process knows less than who recorded it. */
  #transition(link: LinkId, recorded: RecordedState | undefined): HealthTransition | undefined {
    const { tracker, catalog, now } = this.#deps;
    const folded = tracker.compute(link);
    const entry = tracker.entryOf(link);
    const last = recorded?.transition;
    if (folded === undefined || entry === undefined || !differs(folded.health, last)) return undefined;
    if (last !== undefined && isAheadOf(last.token, catalog.position)) return undefined;
    const token = encodeToken(catalog.position);
    return transitionTo(folded, { ...link, operatorId: entry.id }, last, { now: now(), token });
  }

  async #publish(link: LinkId, transition: HealthTransition, last: number, signal: AbortSignal): Promise<void> {
    const { bus, tracker, now } = this.#deps;
    const sequence = await bus.publish(stateSubject(link), toBinary(HealthTransitionSchema, transition), {
      expectedLastSubjectSequence: last,
      signal,
    });
    this.recorded++;
    tracker.noteRecorded(link, { transition, sequence, time: now() });
  }
}

/** Whether the token is of this history, and newer than the position. */
function isAheadOf(token: string, position: Position): boolean {
  const of = decodeToken(token);
  return of !== undefined && sameBytes(of.store, position.store) && of.revision > position.revision;
}
