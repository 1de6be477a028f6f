import { create } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { untilAnswered, type AdminClient } from "../history-checker/writers.ts";

/** An operator with one connection, `main`, that has all it needs to be bound, and covers one network. In DRAFT, as a new one is. */
export function routedOperator(network: string): Operator {
  return create(OperatorSchema, {
    displayName: `routes ${network}`,
    connections: {
      main: {
        systemId: "acme",
        endpoints: { a: { host: "smpp.acme.example" } },
        throughput: { maxSegmentsPerSecond: 50 },
        coverage: [{ kind: { case: "mccmnc", value: network } }],
      },
    },
  });
}

/** Creates it, gives it a password and enables it: four revisions. */
export async function enableOperator(admin: () => AdminClient, operatorId: string, network: string): Promise<void> {
  const operator = routedOperator(network);
  const credential = { operatorId, connectionId: "main", systemId: "acme", password: "pw-for-it" };
  const target = AdminState.ENABLED;
  await untilAnswered((requestId) => admin().createOperator({ operatorId, operator, requestId }));
  await untilAnswered((requestId) => admin().setConnectionCredential({ ...credential, requestId }));
  for (const connectionId of ["main", ""]) {
    await untilAnswered((requestId) => admin().changeAdminState({ operatorId, connectionId, target, requestId }));
  }
}

/** The networks that an operator routes, for operators made here: by the test's own reading of the design. */
export function networksRoutedBy(operator: Operator): string[] {
  if (operator.deleteTime !== undefined || operator.adminState !== AdminState.ENABLED) return [];
  return Object.values(operator.connections)
    .filter(({ adminState }) => adminState === AdminState.ENABLED)
    .flatMap(({ coverage }) => coverage.map(({ kind }) => (kind.case === "mccmnc" ? kind.value : "")));
}
