import { create, fromJson, toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { FieldMaskSchema, TimestampSchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ConnectionCredentialSchema, CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { CreateOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { planCreate } from "../../src/operators/plan-create.ts";
import type { PlanContext } from "../../src/operators/plan.ts";
import { seal } from "../../src/operators/seal.ts";
import { reasonOf } from "../../src/rpc/errors.ts";

export const context: PlanContext = {
  actor: create(ActorSchema, { principal: "ann", kind: Actor_Kind.ADMIN }),
  now: timestampFromDate(new Date("2026-03-01T12:00:00Z")),
};
export const later = create(TimestampSchema, { seconds: context.now.seconds + 60n });

/** An operator from the JSON that people write. */
export function operatorOf(json: JsonObject): Operator {
  return fromJson(OperatorSchema, json);
}

export function jsonOf(operator: Operator): JsonObject {
  return toJson(OperatorSchema, operator) as JsonObject;
}

/** The paths of an update mask as a JSON client sends it. */
export function maskOf(json: string): string[] {
  return fromJson(FieldMaskSchema, json).paths;
}

/** The operator as CreateOperator would store it, all in DRAFT. */
export function storedOperator(json: JsonObject, id = "acme"): Operator {
  const request = create(CreateOperatorRequestSchema, { operatorId: id, operator: operatorOf(json) });
  return planCreate(request, undefined, `uid-of-${id}`, context).after;
}

/** The stored operator with its connections' credentials set and everything moved to a state. */
export function boundOperator(json: JsonObject, state = AdminState.ENABLED, id = "acme"): Operator {
  const operator = storedOperator(json, id);
  operator.adminState = state;
  for (const [key, connection] of Object.entries(operator.connections)) {
    connection.adminState = state;
    connection.credential = create(ConnectionCredentialSchema, {
      active: { id: `credential-of-${key}`, version: 1, systemId: connection.systemId, state: CredentialState.ACTIVE },
    });
  }
  return seal(operator, context.now);
}

/** A connection with all that it needs to be bound. */
export function ready(more: JsonObject = {}): JsonObject {
  const endpoints = { a: { host: "smpp.acme.example" } };
  return { systemId: "acme", endpoints, throughput: { maxSegmentsPerSecond: 50 }, ...more };
}

/** The value at a path of JSON names; undefined where there is nothing. */
export function at(json: JsonValue | undefined, path: string): JsonValue | undefined {
  let value: unknown = json;
  for (const step of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[step];
  return value as JsonValue | undefined;
}

export interface Failure {
  readonly reason: ReturnType<typeof reasonOf>;
  readonly text: string;
  readonly metadata: Record<string, string>;
  readonly violations: Record<string, string>;
}

/** What a call that must fail says. */
export function failureOf(call: () => unknown): Failure {
  try {
    call();
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const [info] = error.findDetails(ErrorInfoSchema);
    const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
    return {
      reason: reasonOf(error),
      text: error.rawMessage,
      metadata: info?.metadata ?? {},
      violations: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
    };
  }
  throw new Error("it did not fail");
}
