import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import type { UpdateOperatorRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { fieldInvalid, opsError } from "../rpc/errors.ts";
import { startInDraft } from "./admin-state.ts";
import { specBytes } from "./canonical.ts";
import { requireValid } from "./check-operator.ts";
import { withDefaults } from "./defaults.ts";
import { diffOperators } from "./diff.ts";
import { requireKnownFields } from "./newer-schema.ts";
import type { Plan, PlanContext } from "./plan.ts";
import { missingConfiguration } from "./readiness.ts";
import { ownEntry, requireEtag, requireLiveOperator } from "./require-operator.ts";
import { seal } from "./seal.ts";
import { isUnbound, stateName } from "./state-rules.ts";
import { mergeByMask } from "./update-mask.ts";
import { configurationWarnings } from "./warnings.ts";

/**
 * The stored operator with the configuration that the request names.
 * @throws OPERATOR_NOT_FOUND, ETAG_MISMATCH, FIELD_INVALID, FIELD_IMMUTABLE, CONNECTION_NOT_DISABLED, NEWER_SCHEMA
 */
export function planUpdate(request: UpdateOperatorRequest, stored: Operator | undefined, context: PlanContext): Plan {
  const { operatorId, operator: given = create(OperatorSchema), updateMask, reason } = request;
  const before = requireLiveOperator(stored, operatorId);
  requireEtag(before, request.etag);
  requireKnownFields(given, before);
  const operator = withDefaults(mergeByMask(before, given, updateMask?.paths ?? []));
  requireRemovable(before, operator);
  startInDraft(operator, reason, context);
  requireValid(operator, before);
  requireStillReady(before, operator);
  const after = seal(operator, context.now);
  const plan = { kind: ChangeKind.UPDATED, before };
  if (Buffer.compare(specBytes(before), specBytes(after)) === 0)
    return { ...plan, after: before, diff: [], warnings: [] };
  const diff = diffOperators(before, after);
  const changed = new Set(diff.flatMap(({ path }) => /^connections\.([^.]+)/.exec(path)?.[1] ?? []));
  return { ...plan, after, diff, warnings: configurationWarnings(after, changed) };
}

function requireRemovable(before: Operator, after: Operator): void {
  for (const [id, { adminState }] of Object.entries(before.connections)) {
    if (isUnbound(adminState) || ownEntry(after.connections, id) !== undefined) continue;
    const subject = `connections.${id}`;
    throw opsError(
      ErrorReason.CONNECTION_NOT_DISABLED,
      `${subject} is ${stateName(adminState)} and would be removed; disable it first, or leave it in`,
      {
        metadata: { connection_id: id, admin_state: stateName(adminState) },
        preconditions: [{ type: "ADMIN_STATE", subject, description: "must be DRAFT or DISABLED" }],
      },
    );
  }
}

/** What a connection needed to be bound can't be taken from under it. */
function requireStillReady(before: Operator, after: Operator): void {
  const missing = Object.entries(after.connections)
    .filter(([, { adminState }]) => !isUnbound(adminState))
    .flatMap(([id, connection]) => {
      const had = ownEntry(before.connections, id);
      // What was missing already (a connection may go from DISABLED to MAINTENANCE without) is no fault of this update.
      const lacked = new Set(had && missingConfiguration(id, had).map(({ field }) => field));
      return missingConfiguration(id, connection).filter(({ field }) => !lacked.has(field));
    });
  if (missing.length > 0) throw fieldInvalid(missing);
}
