import { randomUUID } from "node:crypto";
import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  CreateOperatorRequestSchema,
  CreateOperatorResponseSchema,
  type CreateOperatorResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorKind, OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { OpenDatabase } from "../../src/db/db.ts";
import { History, type ChangeRequest, type Decision } from "../../src/history/commit.ts";
import type { OperatorChange } from "../../src/history/compose-revision.ts";
import type { Caller } from "../../src/rpc/caller.ts";
import { openPreparedDatabase } from "../harness/prepared-postgres.ts";

/** A history on a database of its own, which goes away with it. */
export interface TestStore {
  readonly database: OpenDatabase;
  readonly history: History;
  /** How often onCommit was called. */
  commits(): number;
  close(): Promise<void>;
}

export async function openTestStore(): Promise<TestStore> {
  const database = await openPreparedDatabase();
  let commits = 0;
  return {
    database,
    history: new History({ db: database.db, onCommit: () => commits++ }),
    commits: () => commits,
    close: () => database.close(),
  };
}

export function admin(principal: string): Caller {
  const actor = create(ActorSchema, { principal, kind: Actor_Kind.ADMIN, source: "127.0.0.1" });
  return { actor, roles: new Set(), namespaces: new Set() };
}

/** An operator as a plan would hand it to the history. */
export function operatorWith(init: MessageInitShape<typeof OperatorSchema>): Operator {
  return create(OperatorSchema, {
    uid: randomUUID(),
    kind: OperatorKind.MNO,
    adminState: AdminState.DRAFT,
    etag: "0".repeat(32),
    ...init,
  });
}

export function created(after: Operator): OperatorChange {
  return { kind: ChangeKind.CREATED, before: undefined, after, diff: [] };
}

export function updated(before: Operator, edit: (operator: Operator) => void): OperatorChange {
  const after = clone(OperatorSchema, before);
  edit(after);
  return { kind: ChangeKind.UPDATED, before, after, diff: [] };
}

/** A call of CreateOperator; what it changes is up to `decide`. */
export function requestWith(overrides: Partial<ChangeRequest> = {}): ChangeRequest {
  return {
    caller: admin("ann"),
    method: "CreateOperator",
    reason: "because",
    requestId: "",
    message: create(CreateOperatorRequestSchema, { operatorId: "acme" }),
    validateOnly: false,
    ...overrides,
  };
}

/** Commits these changes as they are; the reply carries the first operator. */
export function commit(
  history: History,
  changes: readonly OperatorChange[],
  overrides: Partial<ChangeRequest> = {},
  alsoWrite?: Decision<unknown>["alsoWrite"],
): Promise<CreateOperatorResponse> {
  return history.change(requestWith(overrides), CreateOperatorResponseSchema, async () => ({
    changes,
    ...(alsoWrite && { alsoWrite }),
    reply: (token) => {
      const operator = changes[0]?.after;
      return create(CreateOperatorResponseSchema, { token, ...(operator && { operator }) });
    },
  }));
}
