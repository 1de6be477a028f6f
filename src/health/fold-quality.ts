import { create } from "@bufbuild/protobuf";
import { DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import {
  LatencySketchSchema,
  QualitySchema,
  ReceiptCountsSchema,
  SegmentCountsSchema,
  type Quality,
} from "@operator-management/contract/ops/v1/quality_pb.js";

const LARGEST_COUNT = 0xffff_ffff;
/** As many as a report may hold. */
const MOST_STATUSES = 64;

/** The figures of several observers as one: counts, sketches and rates add up. */
export function mergeQualities(qualities: readonly Quality[]): Quality {
  const merged = create(QualitySchema, {
    segments: create(SegmentCountsSchema),
    latency: create(LatencySketchSchema),
    receipts: create(ReceiptCountsSchema),
  });
  const { segments, latency, receipts } = merged;
  const statuses = new Map<number, number>();
  const buckets = new Map<number, number>();
  for (const quality of qualities) {
    addCounts(segments, quality.segments);
    addCounts(receipts, quality.receipts);
    addEntries(statuses, quality.commandStatuses);
    addEntries(buckets, quality.latency?.buckets ?? {});
    if (latency) {
      latency.sumMilliseconds = finite(latency.sumMilliseconds + (quality.latency?.sumMilliseconds ?? 0));
      latency.maxMilliseconds = Math.max(latency.maxMilliseconds, quality.latency?.maxMilliseconds ?? 0);
    }
    merged.queueDepth = atMost(merged.queueDepth + quality.queueDepth);
    merged.observedRate = finite(merged.observedRate + quality.observedRate);
    if (quality.throttledRate !== undefined) {
      merged.throttledRate = finite((merged.throttledRate ?? 0) + quality.throttledRate);
    }
    const age = quality.oldestQueuedAge;
    if (age && (!merged.oldestQueuedAge || durationMs(age) > durationMs(merged.oldestQueuedAge))) {
      merged.oldestQueuedAge = create(DurationSchema, { seconds: age.seconds, nanos: age.nanos });
    }
  }
  merged.commandStatuses = Object.fromEntries(mostFrequent(statuses));
  if (latency) latency.buckets = Object.fromEntries([...buckets].sort(([a], [b]) => a - b));
  return merged;
}

type Counts = Record<string, number>;

/** Adds all counts of one message to those of another of the same type. */
function addCounts<T extends object>(to: T | undefined, from: NoInfer<T> | undefined): void {
  if (to === undefined || from === undefined) return;
  const [sums, counts] = [to as Counts, from as Counts];
  for (const [name, count] of Object.entries(counts)) {
    if (typeof count === "number") sums[name] = atMost((sums[name] ?? 0) + count);
  }
}

function addEntries(to: Map<number, number>, from: Readonly<Record<number, number>>): void {
  for (const [key, count] of Object.entries(from)) to.set(Number(key), atMost((to.get(Number(key)) ?? 0) + count));
}

function mostFrequent(statuses: ReadonlyMap<number, number>): [number, number][] {
  return [...statuses].sort(([a, m], [b, n]) => n - m || a - b).slice(0, MOST_STATUSES);
}

function atMost(count: number): number {
  return Math.min(count, LARGEST_COUNT);
}

function finite(value: number): number {
  return Math.min(value, Number.MAX_VALUE);
}
