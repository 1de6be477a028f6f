import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { CoverageEntrySchema } from "@operator-management/contract/ops/v1/coverage_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { withDefaults } from "../src/operators/defaults.ts";
import { seal } from "../src/operators/seal.ts";

export const CONNECTIONS = 2;
/** Of each connection. */
export const COVERAGE = 10;

/** An operator as an integrator enters it and the service stores it: every default filled in, ENABLED. */
export function sampleOperator(number: number, now: Timestamp): Operator {
  const coverage = Array.from({ length: COVERAGE }, (_, n): MessageInitShape<typeof CoverageEntrySchema> => {
    return { kind: { case: "mccmnc", value: String(20_000 + ((number * 7 + n * 13) % 59_999)) } };
  });
  const connections = Array.from({ length: CONNECTIONS }, (_, n) => [
    `link-${n}`,
    {
      systemId: `account${number}`,
      endpoints: {
        primary: { host: `smpp${n}.operator-${number}.example` },
        backup: { host: `10.0.${n}.${number % 256}` },
      },
      throughput: { maxSegmentsPerSecond: 50 },
      adminState: AdminState.ENABLED,
      coverage,
    },
  ]);
  const operator = create(OperatorSchema, {
    id: operatorId(number),
    uid: randomUUID(),
    displayName: `Operator ${number}`,
    countries: ["DE"],
    labels: { region: "emea", tier: "gold" },
    connections: Object.fromEntries(connections) as Operator["connections"],
    adminState: AdminState.ENABLED,
    createTime: now,
  });
  return seal(withDefaults(operator), now);
}

/** The id of the sample operator with this number. */
export function operatorId(number: number): string {
  return `operator-${number}`;
}
