import { create, fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema, type ConfigChange } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  OperatorRevisionSchema,
  type OperatorRevision,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";

/** A stored record of history as people read it, and the operator as it was; no operator after a purge. */
export function revisionOf(record: Uint8Array): { revision: OperatorRevision; operator: Operator | undefined } {
  const change = fromBinary(ConfigChangeSchema, record);
  const operator = operatorOf(change);
  const { kind, actor, reason, commitTime, diff, diffTruncated } = change;
  const revision = create(OperatorRevisionSchema, {
    revisionId: String(change.revision),
    kind,
    reason,
    changes: diff,
    changesTruncated: diffTruncated,
    etag: operator?.etag ?? "",
    ...(actor && { actor }),
    ...(commitTime && { commitTime }),
  });
  return { revision, operator };
}

function operatorOf(change: ConfigChange): Operator | undefined {
  return change.operator.length === 0 ? undefined : fromBinary(OperatorSchema, change.operator);
}
