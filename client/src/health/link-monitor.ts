import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  BindState,
  HealthReportSchema,
  type BindStatus,
  type HealthReport,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade, type Quality } from "@operator-management/contract/ops/v1/quality_pb.js";
import type { MessageState } from "@operator-management/contract/ops/v1/receipts_pb.js";
import type { CatalogConnection } from "../catalog-state.ts";
import { errorGrade } from "./error-grade.ts";
import { QualityMeter, type SubmittedMessage } from "./quality-meter.ts";
import { RollingSlots } from "./rolling-slots.ts";

const MINUTE = 60_000;
const MINUTES_OF_FLAPS = 60;
/** As many as a report may hold. */
const MOST_BINDS = 192;

/** Names one connection of one operator, for good: an operator created anew has another uid. */
export interface MonitoredLink {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
}

/** Who reports, and what is the same in all of its reports. */
export interface ReportContext {
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  readonly intervalMs: number;
  /** The link's configuration; undefined when there is none. */
  readonly configOf: (link: MonitoredLink) => Pick<CatalogConnection, "operator" | "connection"> | undefined;
  /** Called when a bind changed. */
  readonly changed: (monitor: LinkMonitor) => void;
  /** Called when the connection isn't run here any more. */
  readonly left: (monitor: LinkMonitor) => void;
}

/**
 * Takes what a connector sees of one connection. Cheap to call for every message; memory does not grow with traffic. Times are those that
 * `sent` returns.
 */
export class LinkMonitor {
  readonly link: MonitoredLink;
  readonly #context: ReportContext;
  readonly #quality = new QualityMeter();
  readonly #flaps = new RollingSlots(MINUTE, MINUTES_OF_FLAPS, () => ({ count: 0 }));
  #binds: readonly BindStatus[] = [];
  #streak = 0;
  #streakAt = -Infinity;
  #lastGoodAt: number | undefined;

  constructor(link: MonitoredLink, context: ReportContext) {
    const { operatorId, operatorUid, connectionId } = link;
    this.link = { operatorId, operatorUid, connectionId };
    this.#context = context;
  }

  /** Segments were sent by submit_sm. Returns when, for `answered` and `receipt`. */
  sent(segments = 1): number {
    const now = this.#context.now();
    this.#quality.sent(segments, now);
    return now;
  }

  /** A submit_sm that was sent then was answered with this command_status; 0 is ESME_ROK. */
  answered(sentAt: number, commandStatus: number, message: SubmittedMessage = {}): void {
    const errors = this.#context.configOf(this.link)?.connection.submitErrors ?? [];
    this.#quality.answered(sentAt, commandStatus, message, errors, this.#context.now());
  }

  /** A submit_sm was not answered in time, or its session ended before: nobody knows what became of it. */
  unanswered(segments = 1): void {
    this.#quality.unanswered(segments, this.#context.now());
  }

  /** The final state of a message that was sent then and asked for a receipt. Call it once for each message; ENROUTE is ignored. */
  receipt(sentAt: number, state: MessageState): void {
    this.#quality.receipt(sentAt, state, this.#context.now());
  }

  /** How many segments wait to be sent, and since when the oldest does, in milliseconds since 1970. */
  queue(depth: number, oldestAt?: number): void {
    this.#quality.queue(depth, oldestAt);
  }

  /** The rate kept to while the vendor throttles, in segments per second; undefined: it doesn't any more. */
  throttled(segmentsPerSecond: number | undefined): void {
    this.#quality.throttledRate = segmentsPerSecond;
  }

  /** The binds that this node holds now. A change that matters is reported at once. */
  binds(binds: readonly BindStatus[]): void {
    const before = this.#binds;
    this.#binds = binds.slice(0, MOST_BINDS);
    if (summary(before) !== summary(this.#binds)) this.#context.changed(this);
  }

  /** A bind was lost: not closed by us in order. */
  bindLost(): void {
    const now = this.#context.now();
    const slot = this.#flaps.at(now, now);
    if (slot !== undefined) slot.count += 1;
    this.#streak = 0;
    this.#streakAt = -Infinity;
  }

  /** This node doesn't run the connection any more: says so in a last report. */
  close(): void {
    this.#context.left(this);
  }

  /** What is to be reported now; for the HealthReporter, which adds who reports. */
  report(leaving: boolean): HealthReport {
    const { now: clock, intervalMs } = this.#context;
    const now = clock();
    const quality = this.#quality.quality(now);
    const good = this.#isGood(quality);
    this.#count(good, now);
    return create(HealthReportSchema, {
      ...this.link,
      interval: durationFromMs(intervalMs),
      leaving,
      reportTime: timestampFromMs(now),
      binds: [...this.#binds],
      goodStreak: this.#streak,
      flaps: this.#flaps.aged(0, MINUTES_OF_FLAPS - 1, now).reduce((sum, { count }) => sum + count, 0),
      ...(this.#lastGoodAt !== undefined && { lastGoodTime: timestampFromMs(Math.min(now, this.#lastGoodAt)) }),
      quality,
    });
  }

  /** A streak is of reports that are an interval apart: those sent at once between them must not make it look longer. */
  #count(good: boolean, now: number): void {
    if (!good) {
      this.#streak = 0;
      this.#streakAt = -Infinity;
      return;
    }
    this.#lastGoodAt = now;
    const apart = Math.abs(now - this.#streakAt);
    if (this.#streak > 0 && apart < this.#context.intervalMs / 2) return;
    this.#streak += 1;
    this.#streakAt = now;
  }

  #isGood({ segments, throttledRate }: Quality): boolean {
    const { operator, connection } = this.#context.configOf(this.link) ?? {};
    const missedLimit = connection?.timers?.missed ?? 3;
    const isUp = (bind: BindStatus): boolean => bind.state === BindState.BOUND && bind.enquireLinksMissed < missedLimit;
    const isTrouble = (bind: BindStatus): boolean => !isUp(bind) && (isLost(bind) || wasRefused(bind));
    if (throttledRate !== undefined || !this.#binds.some(isUp) || this.#binds.some(isTrouble)) return false;
    return errorGrade(segments, connection?.healthPolicy ?? operator?.healthPolicy) === QualityGrade.GOOD;
  }
}

function isLost({ state }: BindStatus): boolean {
  return state === BindState.FAILED || state === BindState.BOUND;
}

/** On its way again after a failure. */
function wasRefused({ state, lastBindStatus = 0, detail }: BindStatus): boolean {
  return state !== BindState.UNBOUND && (lastBindStatus !== 0 || detail !== "");
}

/** Everything of the binds that is worth a report at once. */
function summary(binds: readonly BindStatus[]): string {
  return binds
    .map((bind) => {
      const { role, index, state, endpointId, credentialId, bindEtag, lastBindStatus, rejectedCredentialId } = bind;
      return [role, index, state, endpointId, credentialId, bindEtag, lastBindStatus, rejectedCredentialId].join(" ");
    })
    .join("\n");
}
