import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  QualitySchema,
  ReceiptCountsSchema,
  SegmentCountsSchema,
  type Quality,
} from "@operator-management/contract/ops/v1/quality_pb.js";
import { MessageState } from "@operator-management/contract/ops/v1/receipts_pb.js";
import { SubmitErrorClass, type SubmitError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { submitErrorClass } from "../submit-error-class.ts";
import { RollingSlots } from "./rolling-slots.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Answers: 5 minutes. Rate: 10 whole seconds. Receipts: of messages submitted 10 to 70 minutes ago. */
const ANSWERS = { slotMs: 10 * SECOND, slots: 30 };
const RATE = { slotMs: SECOND, slots: 10 };
const RECEIPTS = { slotMs: MINUTE, youngest: 10, oldest: 69 };
/** As many as a report may hold. */
const MOST_STATUSES = 64;

type SegmentClass = "ok" | "temporary" | "permanent" | "throttled" | "account" | "message" | "unknown";
type ReceiptState = "delivered" | "expired" | "deleted" | "undeliverable" | "accepted" | "unknown" | "rejected";

interface Answers {
  readonly segments: Map<SegmentClass, number>;
  readonly statuses: Map<number, number>;
  readonly latency: Map<number, number>;
  sumMs: number;
  maxMs: number;
}

/** What a message is, besides its answer. */
export interface SubmittedMessage {
  /** Default: 1. */
  readonly segments?: number;
  /** Whether the submit_sm asked for a receipt (registered_delivery). Default: false. */
  readonly receiptAsked?: boolean;
}

/** Rolling sums of one connection's answers, receipts and load, in bounded memory. Times in milliseconds of one clock. */
export class QualityMeter {
  readonly #answers = new RollingSlots<Answers>(ANSWERS.slotMs, ANSWERS.slots, () => ({
    segments: new Map(),
    statuses: new Map(),
    latency: new Map(),
    sumMs: 0,
    maxMs: 0,
  }));
  readonly #sent = new RollingSlots(RATE.slotMs, RATE.slots + 1, () => ({ segments: 0 }));
  readonly #receipts = new RollingSlots(RECEIPTS.slotMs, RECEIPTS.oldest + 1, () => ({
    submitted: 0,
    states: new Map<ReceiptState, number>(),
  }));
  #queue: { readonly depth: number; readonly oldestAt: number | undefined } = { depth: 0, oldestAt: undefined };
  /** Segments per second kept to while the vendor throttles; undefined: it doesn't. */
  throttledRate: number | undefined;

  sent(segments: number, now: number): void {
    const slot = this.#sent.at(now, now);
    if (slot !== undefined) slot.segments += segments;
  }

  answered(
    sentAt: number,
    status: number,
    message: SubmittedMessage,
    errors: readonly SubmitError[],
    now: number,
  ): void {
    const { segments = 1, receiptAsked = false } = message;
    const slot = this.#answers.at(now, now);
    if (slot === undefined) return;
    add(slot.segments, status === 0 ? "ok" : classOf(status, errors), segments);
    if (status !== 0) add(slot.statuses, status >>> 0, segments);
    const latencyMs = Math.max(0, now - sentAt);
    add(slot.latency, latencyBucket(latencyMs), 1);
    slot.sumMs += latencyMs;
    slot.maxMs = Math.max(slot.maxMs, latencyMs);
    const cohort = status === 0 && receiptAsked ? this.#receipts.at(sentAt, now) : undefined;
    if (cohort !== undefined) cohort.submitted += 1;
  }

  unanswered(segments: number, now: number): void {
    const slot = this.#answers.at(now, now);
    if (slot !== undefined) add(slot.segments, "unknown", segments);
  }

  receipt(sentAt: number, state: MessageState, now: number): void {
    const name = receiptStates.get(state);
    const cohort = name === undefined ? undefined : this.#receipts.at(sentAt, now);
    if (name !== undefined && cohort !== undefined) add(cohort.states, name, 1);
  }

  queue(depth: number, oldestAt: number | undefined): void {
    this.#queue = { depth, oldestAt };
  }

  /** As a report holds it. */
  quality(now: number): Quality {
    const segments = new Map<SegmentClass, number>();
    const statuses = new Map<number, number>();
    const buckets = new Map<number, number>();
    let [sumMilliseconds, maxMilliseconds] = [0, 0];
    for (const slot of this.#answers.aged(0, ANSWERS.slots - 1, now)) {
      addAll(segments, slot.segments);
      addAll(statuses, slot.statuses);
      addAll(buckets, slot.latency);
      sumMilliseconds += slot.sumMs;
      maxMilliseconds = Math.max(maxMilliseconds, slot.maxMs);
    }
    const receipts = new Map<ReceiptState | "submitted", number>();
    for (const cohort of this.#receipts.aged(RECEIPTS.youngest, RECEIPTS.oldest, now)) {
      add(receipts, "submitted", cohort.submitted);
      addAll(receipts, cohort.states);
    }
    const { depth, oldestAt } = this.#queue;
    return create(QualitySchema, {
      segments: create(SegmentCountsSchema, Object.fromEntries(segments)),
      commandStatuses: Object.fromEntries([...statuses].sort(([, a], [, b]) => b - a).slice(0, MOST_STATUSES)),
      latency: { buckets: Object.fromEntries(buckets), sumMilliseconds, maxMilliseconds },
      receipts: create(ReceiptCountsSchema, Object.fromEntries(receipts)),
      queueDepth: depth,
      ...(depth > 0 && oldestAt !== undefined && { oldestQueuedAge: durationFromMs(Math.max(0, now - oldestAt)) }),
      ...(this.throttledRate !== undefined && { throttledRate: this.throttledRate }),
      // The second under way isn't over yet.
      observedRate: this.#sent.aged(1, RATE.slots, now).reduce((sum, slot) => sum + slot.segments, 0) / RATE.slots,
    });
  }
}

/** Bucket i counts latencies in (1.2^(i-1), 1.2^i] milliseconds. */
export function latencyBucket(milliseconds: number): number {
  if (milliseconds <= 1.2 ** -20) return -20;
  let bucket = Math.ceil(Math.log(milliseconds) / Math.log(1.2));
  // The logarithm may land a hair beside a bound.
  if (milliseconds <= 1.2 ** (bucket - 1)) bucket -= 1;
  else if (milliseconds > 1.2 ** bucket) bucket += 1;
  return Math.min(120, Math.max(-20, bucket));
}

/** Under which class a refusal is counted: the share of errors is that of temporary and account. */
function classOf(status: number, errors: readonly SubmitError[]): SegmentClass {
  const { errorClass, countsForHealth } = submitErrorClass(status, errors);
  switch (errorClass) {
    case SubmitErrorClass.TEMPORARY:
      return countsForHealth ? "temporary" : "permanent";
    case SubmitErrorClass.ACCOUNT:
      return countsForHealth ? "account" : "permanent";
    case SubmitErrorClass.THROTTLED:
      return countsForHealth ? "temporary" : "throttled";
    case SubmitErrorClass.MESSAGE:
      return countsForHealth ? "temporary" : "message";
    case SubmitErrorClass.PERMANENT:
    case SubmitErrorClass.UNSPECIFIED:
      return countsForHealth ? "temporary" : "permanent";
    default:
      return "permanent"; // a class of a newer version: no reason to blame the link
  }
}

/** Final states; any other is none. */
const receiptStates: ReadonlyMap<MessageState, ReceiptState> = new Map([
  [MessageState.DELIVERED, "delivered"],
  [MessageState.EXPIRED, "expired"],
  [MessageState.DELETED, "deleted"],
  [MessageState.UNDELIVERABLE, "undeliverable"],
  [MessageState.ACCEPTED, "accepted"],
  [MessageState.UNKNOWN, "unknown"],
  [MessageState.REJECTED, "rejected"],
]);

function add<K>(to: Map<K, number>, key: K, count: number): void {
  to.set(key, Math.min(0xffff_ffff, (to.get(key) ?? 0) + count));
}

function addAll<K>(to: Map<K, number>, from: ReadonlyMap<K, number>): void {
  for (const [key, count] of from) add(to, key, count);
}
