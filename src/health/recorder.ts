import { toBinary } from "@bufbuild/protobuf";
import { decodeToken, encodeToken, type Position } from "@operator-management/client";
import {
  HealthTransitionSchema,
  type HealthTransition,
  type OperationalState,
} from "@operator-management/contract/ops/v1/health_pb.js";
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
/** How long a record that was made with a newer configuration than this process has is left alone. */
const BEHIND_MS = 60_000;
const LOOK_AGAIN_MS = 1_000;
/** A link that flaps is recorded as it does, so many times; then ever more seldom. */
const FREE_REVERSALS = 6;
const FIRST_HOLD_MS = 5_000;
const LONGEST_HOLD_MS = 5 * 60_000;
/** A verdict that no report brought is recorded by whoever comes first: at random, so that mostly nobody comes second. */
const MAX_DELAY_MS = 2_000;

/** What a recorder needs. */
export interface RecorderDeps {
  readonly bus: Pick<Bus, "publish" | "lastMessage">;
  readonly tracker: Pick<
    HealthTracker,
    "healthOf" | "compute" | "entryOf" | "recordedOf" | "noteRecorded" | "reached" | "subscribe"
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
   * record (yet). @throws BusUnavailableError, WrongLastSequenceError when others were faster time and again, the signal's reason; then it is to be
   * tried again
   */
  async consider(link: LinkId, signal: AbortSignal): Promise<void> {
    const { tracker, bus } = this.#deps;
    let missed: RecordedState | undefined;
    let heardSince: RecordedState | undefined;
    for (let attempt = 1; ; attempt++) {
      const recorded = tracker.recordedOf(link);
      const next = this.#next(link, recorded);
      if (next === undefined) return;
      if ("afterMs" in next) {
        this.#due.set(linkKey(link), { link, from: performance.now() + next.afterMs });
        return;
      }
      if (recorded !== undefined && recorded !== heardSince && recorded.transition.cause > next.cause) {
        // Whoever recorded it had heard of newer reports than this process has, or those are too old to be there still.
        await this.#hearAll(signal);
        heardSince = recorded;
        continue;
      }
      // Refused, and yet nobody recorded anything newer: the stream has lost what was recorded.
      const lost = recorded !== undefined && recorded === missed;
      try {
        await this.#publish(link, next, lost ? 0 : (recorded?.sequence ?? 0), signal);
        return;
      } catch (error) {
        if (!(error instanceof WrongLastSequenceError) || attempt >= ATTEMPTS) throw error;
        missed = recorded;
      }
      // Somebody was faster: go on from what they recorded.
      const last = await bus.lastMessage("OPS_STATE", signal);
      await tracker.reached("states", last?.sequence ?? 0, signal);
    }
  }

  /** How many links this process still has to look at. */
  get waiting(): number {
    return this.#due.size;
  }

  /** The same within seconds, for nobody to wait for. */
  considerLater(link: LinkId): void {
    const key = linkKey(link);
    if (this.#due.has(key)) return;
    this.#due.set(key, { link, from: performance.now() + Math.random() * (this.#deps.maxDelayMs ?? MAX_DELAY_MS) });
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    clearInterval(this.#timer);
    this.#closing.abort(new Error("the service stops"));
    await this.#round;
  }

  /** A change that time or the configuration brought wakes no consumer. */
  #noteChange(change: HealthChange): void {
    if (change.kind !== "state") return;
    const last = this.#deps.tracker.recordedOf(change.link)?.transition;
    if (differs(change.link.health, last)) this.considerLater(change.link);
  }

  /** Never rejects. */
  async #recordDue(): Promise<void> {
    const links = this.#dueNow();
    if (links.length === 0) return;
    const { logger } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ROUND_DEADLINE_MS)]);
    try {
      // Silence is a verdict only of somebody who has heard all there is.
      await this.#hearAll(signal);
      await mapConcurrently(links, AT_ONCE, (link) => this.#recordOne(link, signal));
      this.#failing = false;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#notBefore = performance.now() + PAUSE_AFTER_FAILURE_MS;
      if (!this.#failing)
        logger.warn({ err: error }, "transitions of links wait to be recorded: the bus does not answer");
      this.#failing = true; // once per outage
    }
  }

  async #recordOne(link: LinkId, signal: AbortSignal): Promise<void> {
    this.#due.delete(linkKey(link));
    try {
      await this.consider(link, signal);
    } catch (error) {
      this.considerLater(link);
      if (!(error instanceof WrongLastSequenceError)) throw error;
    }
  }

  async #hearAll(signal: AbortSignal): Promise<void> {
    const { tracker, bus } = this.#deps;
    const last = await bus.lastMessage("OPS_HEALTH", signal);
    await tracker.reached("reports", last?.sequence ?? 0, signal);
  }

  #dueNow(): LinkId[] {
    const now = performance.now();
    if (now < this.#notBefore) return [];
    const { tracker } = this.#deps;
    const links: LinkId[] = [];
    for (const [key, { link, from }] of this.#due) {
      if (from > now) continue;
      const health = tracker.healthOf(link);
      if (health === undefined || !differs(health, tracker.recordedOf(link)?.transition)) this.#due.delete(key);
      else links.push(link);
      if (links.length === LINKS_PER_ROUND) break;
    }
    return links;
  }

  /** What is to be recorded of the link now, or after how long to look again; undefined when its state is the recorded one. */
  #next(
    link: LinkId,
    recorded: RecordedState | undefined,
  ): HealthTransition | { readonly afterMs: number } | undefined {
    const { tracker, catalog, now } = this.#deps;
    const folded = tracker.compute(link);
    const entry = tracker.entryOf(link);
    if (folded === undefined || entry === undefined || !differs(folded.health, recorded?.transition)) return undefined;
    const afterMs = recorded === undefined ? 0 : this.#holdMs(folded.health.state, recorded);
    if (afterMs > 0) return { afterMs };
    const token = encodeToken(catalog.position);
    return transitionTo(folded, { ...link, operatorId: entry.id }, recorded?.transition, { now: now(), token });
  }

  /** How long the recorded state is left alone still, in milliseconds. */
  #holdMs(state: OperationalState, { transition, time, reversals }: RecordedState): number {
    const age = Math.max(0, this.#deps.now().getTime() - time.getTime());
    // Whoever recorded it knew a newer configuration; unless that is lost, it comes here within seconds.
    const behind = age < BEHIND_MS && isAheadOf(transition.token, this.#deps.catalog.position);
    // Processes that don't agree (a clock that is wrong, two releases with other rules) would overwrite each other for ever.
    const back = state === transition.from && reversals >= FREE_REVERSALS;
    const hold = back ? Math.min(FIRST_HOLD_MS * 2 ** (reversals - FREE_REVERSALS), LONGEST_HOLD_MS) : 0;
    return Math.max(hold - age, behind ? LOOK_AGAIN_MS : 0);
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
