import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { GetOperatorResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { findOperator } from "../../src/history/find-operator.ts";
import { seal } from "../../src/operators/seal.ts";
import { ann, type World } from "./world.ts";

type ConnectionInit = MessageInitShape<typeof ConnectionSchema>;

/**
 * Commits an operator with these connections, as CreateOperator would, and waits for the catalog; they are in DRAFT unless they say
 * otherwise.
 */
export async function putOperator(
  world: Pick<World, "history" | "catalog">,
  id: string,
  connections: Record<string, ConnectionInit>,
  init: MessageInitShape<typeof OperatorSchema> = {},
): Promise<Operator> {
  const request = { caller: ann, method: "CreateOperator", reason: "", requestId: "", validateOnly: false };
  const reply = await world.history.change(
    { ...request, message: create(OperatorSchema, { id }) },
    GetOperatorResponseSchema,
    async ({ tx, now }) => {
      const before = await findOperator(tx, id);
      const drafts = Object.entries(connections).map(
        ([key, connection]) =>
          [key, create(ConnectionSchema, { adminState: AdminState.DRAFT, ...connection })] as const,
      );
      const operator = create(OperatorSchema, {
        adminState: AdminState.ENABLED,
        ...init,
        id,
        uid: before?.uid ?? crypto.randomUUID(),
        connections: Object.fromEntries(drafts),
      });
      const after = seal(operator, now);
      return {
        changes: [{ kind: before === undefined ? ChangeKind.CREATED : ChangeKind.UPDATED, before, after, diff: [] }],
        reply: (token) => create(GetOperatorResponseSchema, { operator: after, token }),
      };
    },
  );
  await world.catalog.refresh();
  return reply.operator!;
}

/** Changes a connection as other parts of the service do, e.g. its admin state. */
export async function changeConnection(
  world: Pick<World, "history" | "catalog" | "database">,
  id: string,
  connectionId: string,
  init: Partial<Operator["connections"][string]>,
): Promise<void> {
  const current = await findOperator(world.database.db, id);
  const connections = { ...current!.connections, [connectionId]: { ...current!.connections[connectionId]!, ...init } };
  await putOperator(world, id, connections, { adminState: current!.adminState });
}

/** A new operator with the connection `main`. */
export async function newOperator(
  world: World,
  connection: ConnectionInit = {},
): Promise<{ operatorId: string; connectionId: string; uid: string }> {
  const operatorId = `op-${randomUUID().slice(0, 8)}`;
  const { uid } = await putOperator(world, operatorId, { main: connection });
  return { operatorId, connectionId: "main", uid };
}

/** A connection as the database has it. */
export async function storedConnection(
  world: World,
  operatorId: string,
): Promise<Operator["connections"][string] | undefined> {
  return (await findOperator(world.database.db, operatorId))?.connections["main"];
}

/** A credential that can be read, and the token of the change that made it. */
export interface StoredCredential {
  readonly operatorId: string;
  readonly connectionId: string;
  readonly credentialId: string;
  readonly token: string;
}

/** A new operator whose connection `main` has a credential. */
export async function storeCredential(world: World, password: string, extra: object = {}): Promise<StoredCredential> {
  const { operatorId, connectionId } = await newOperator(world);
  const request = { operatorId, connectionId, systemId: "acme01", password, ...extra };
  const { credential, token } = await world.admin.setConnectionCredential(request);
  return { operatorId, connectionId, credentialId: credential!.id, token };
}
