import { create, type DescField } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { diffMessages } from "@operator-management/client";
import type { FieldChange } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { ordered } from "./canonical.ts";
import { isOutputOnly } from "./field-options.ts";

/** What a revision says of itself (who, when, why), or what follows from the rest. */
const bookkeeping = new Set([
  "uid",
  "etag",
  "create_time",
  "update_time",
  "admin_state_reason",
  "admin_state_time",
  "admin_state_actor",
  "bind_etag",
]);

/**
 * What changed of an operator, for its history and for replies: configuration, states and credential ids, without bookkeeping and
 * secrets. A new operator is compared with an empty one. Not cut: history keeps the first 200.
 */
export function diffOperators(before: Operator | undefined, after: Operator): FieldChange[] {
  return diffMessages(OperatorSchema, worthTelling(before ?? create(OperatorSchema)), worthTelling(after));
}

function worthTelling(operator: Operator): Operator {
  return ordered(reflect(OperatorSchema, operator, false), isWorthTelling).message as Operator;
}

function isWorthTelling(field: DescField): boolean {
  return !(bookkeeping.has(field.name) && isOutputOnly(field));
}
