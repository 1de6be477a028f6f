import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { WindowOccurrence } from "@operator-management/contract/ops/v1/maintenance_pb.js";
import type { ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";

/** Everything of a link's health but its figures, as one text: what differs in it is worth telling at once. */
export function summaryOf(health: ConnectionHealth): string {
  const window = health.currentWindow;
  return [
    health.state,
    health.grade,
    health.reasons.join(","),
    ms(health.since),
    health.alerting,
    health.bindsWanted,
    health.bindsBound,
    health.transmittersBound,
    health.receiversBound,
    health.holders.join(","),
    health.currentLimit,
    window === undefined ? "" : `${window.windowId} ${ms(window.start)} ${ms(window.end)}`,
    plan(health.upcomingWindows),
  ].join("|");
}

/** The first and the last, and how many: what is told of a plan at once; the rest follows with the figures. */
function plan(windows: readonly WindowOccurrence[]): string {
  return [
    windows.length,
    ...[windows.at(0), windows.at(-1)].map((each) => `${each?.windowId} ${ms(each?.start)} ${ms(each?.end)}`),
  ].join(" ");
}

function ms(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}
