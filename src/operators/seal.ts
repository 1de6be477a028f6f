import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { bindEtagOf } from "./bind-etag.ts";
import { copyOf, etagOf } from "./canonical.ts";
import { effectiveState } from "./state-rules.ts";

/** A copy as it is stored: with what follows from the rest (effective states, etags) and the time of the change, `now`. */
export function seal(operator: Operator, now: Timestamp): Operator {
  const sealed = copyOf(operator);
  for (const connection of Object.values(sealed.connections)) {
    connection.effectiveState = effectiveState(sealed.adminState, connection.adminState);
    connection.bindEtag = bindEtagOf(connection);
  }
  sealed.etag = etagOf(sealed);
  sealed.updateTime = now;
  return sealed;
}
