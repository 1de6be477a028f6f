import { create } from "@bufbuild/protobuf";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { fieldInvalid, type FieldViolation } from "../rpc/errors.ts";
import { violationsOf } from "../rpc/validate.ts";
import { withDefaults } from "./defaults.ts";
import { newerSchema, requireKnownEnums } from "./newer-schema.ts";
import { ruleViolations } from "./rules.ts";

/**
 * Refuses an operator that may not be stored. What the stored one (`before`) breaks already, this version doesn't know well enough
 * to write: a newer one allowed it.
 * @throws FIELD_INVALID with every violation, NEWER_SCHEMA
 */
export function requireValid(after: Operator, before: Operator | undefined): void {
  requireKnownEnums(after);
  const violations = allViolations(after);
  if (violations.length === 0) return;
  const stored = new Set(before && allViolations(before).map(asText));
  const made = violations.filter((violation) => !stored.has(asText(violation)));
  if (made.length > 0) throw fieldInvalid(made);
  throw newerSchema(
    violations.map(({ field }) => field),
    "holds something",
  );
}

/** Compiles the contract's rules for an operator, which the first write would otherwise pay for, up to a second on a small machine. */
export function compileRules(): void {
  const sample = create(OperatorSchema, {
    connections: { main: { endpoints: { a: {} }, coverage: [{}], throughput: {} } },
  });
  violationsOf(OperatorSchema, withDefaults(sample));
}

function allViolations(operator: Operator): FieldViolation[] {
  return [...violationsOf(OperatorSchema, operator), ...ruleViolations(operator)];
}

function asText({ field, description }: FieldViolation): string {
  return `${field}: ${description}`;
}
