import type { ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";

/** Where routes learn how links are. What it answers must not change while one query is resolved. */
export interface HealthView {
  /** The health of a connection; undefined when nothing is known of it, which counts as UNKNOWN. */
  of(operatorId: string, operatorUid: string, connectionId: string): ConnectionHealth | undefined;
}
