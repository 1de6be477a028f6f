import {
  OperationalReason,
  OperationalState,
  type ConnectionHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade, type LatencySketch } from "@operator-management/contract/ops/v1/quality_pb.js";
import type { Stage } from "./stage.ts";
import type { Vendor } from "./vendors.ts";

/** Reports come every second or so; longer, because errors go out of five minutes' sums only as other answers come. */
const LONGEST_WAIT = 150_000;
const POLL = 100;

/** A link's health as the service computes it. */
export async function healthOf({ admin, signal }: Stage, vendor: Vendor): Promise<ConnectionHealth | undefined> {
  const { operators } = await admin.getHealth({ operatorIds: [vendor.operatorId] }, { signal });
  return operators[0]?.connections[vendor.connectionId];
}

/** The health once it is as awaited, with when that was seen. */
export async function untilHealth(
  stage: Stage,
  vendor: Vendor,
  what: string,
  isSo: (health: ConnectionHealth) => boolean,
): Promise<{ readonly health: ConnectionHealth; readonly time: number }> {
  let last = "nothing yet";
  const ask = async (): Promise<ConnectionHealth | undefined> => {
    const health = await healthOf(stage, vendor);
    last = health === undefined ? last : healthWords(health);
    return health !== undefined && isSo(health) ? health : undefined;
  };
  try {
    const health = await stage.until(`${nameOf(vendor)} is ${what}`, ask, { timeoutMs: LONGEST_WAIT, pollMs: POLL });
    return { health, time: Date.now() };
  } catch (error) {
    if (error instanceof Error) error.message += ` (it is ${last})`;
    throw error;
  }
}

/** Resolves when the link is UP again: after its streak of good reports. */
export function untilUp(stage: Stage, vendor: Vendor): Promise<{ readonly time: number }> {
  return untilHealth(stage, vendor, "UP", ({ state }) => state === OperationalState.UP);
}

/** `DEGRADED (warning): ERROR_RATE` */
export function healthWords({ state, grade, reasons }: ConnectionHealth): string {
  const why = reasons.map((reason) => OperationalReason[reason]).join(", ");
  return stateWords({ state, grade }) + (why === "" ? "" : `: ${why}`);
}

/** `DEGRADED (warning)` */
export function stateWords({ state, grade }: Pick<ConnectionHealth, "state" | "grade">): string {
  const graded = state === OperationalState.DEGRADED ? ` (${QualityGrade[grade].toLowerCase()})` : "";
  return OperationalState[state] + graded;
}

/** Share of errors among the answers of the last 5 minutes, as the fold takes it. */
export function errorShare({ quality }: ConnectionHealth): number {
  const { ok = 0, temporary = 0, permanent = 0, throttled = 0, account = 0, message = 0 } = quality?.segments ?? {};
  const answered = ok + temporary + permanent + throttled + account + message;
  return answered === 0 ? 0 : (temporary + account) / answered;
}

/** The latency that this share of all answers stays below, in milliseconds. */
export function latencyBelow(sketch: LatencySketch | undefined, share: number): number {
  const buckets = Object.entries(sketch?.buckets ?? {})
    .map(([index, count]) => [Number(index), count] as const)
    .sort(([a], [b]) => a - b);
  let left = share * buckets.reduce((sum, [, count]) => sum + count, 0);
  for (const [index, count] of buckets) {
    left -= count;
    if (left <= 0) return 1.2 ** index;
  }
  return sketch?.maxMilliseconds ?? 0;
}

/** `3.2 s later` */
export function later(begin: number, time: number): string {
  return `${((time - begin) / 1000).toFixed(1)} s later`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function nameOf({ operatorId, connectionId }: Vendor): string {
  return `${operatorId}/${connectionId}`;
}
