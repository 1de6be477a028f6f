import type { RouteResult } from "@operator-management/contract/ops/v1/route_pb.js";

/** Of a route without its texts: tags, numbers and two times at their longest. */
const ROUTE = 130;
const EXCLUDED = 12;
const RESULT = 20;

/** At most how many bytes an answer takes, encoded: without encoding it twice. */
export function replyBytes({ routes, excluded }: RouteResult): number {
  let bytes = RESULT;
  for (const { operatorId, connectionId, matched, reasons, holders } of routes) {
    bytes += ROUTE + operatorId.length + connectionId.length + (matched?.value.length ?? 0) + reasons.length;
    for (const holder of holders) bytes += holder.length + 2;
  }
  for (const { operatorId, connectionId, reasons } of excluded) {
    bytes += EXCLUDED + operatorId.length + connectionId.length + reasons.length;
  }
  return bytes;
}
