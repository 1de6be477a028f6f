import type { Message } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Actor_KindSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Transaction } from "../db/db.ts";
import { auditEvent } from "../db/schema.ts";
import type { Caller } from "../rpc/caller.ts";
import type { Revision } from "./compose-revision.ts";

const MAX_LISTED = 100;

/** What the audit trail says of a mutation: of its message only whom it was about. */
interface AuditedMutation {
  readonly caller: Pick<Caller, "actor">;
  readonly method: string;
  readonly reason: string;
  readonly requestId: string;
  readonly message: Message;
}

/** Records a mutation that succeeded, in its own transaction: both are there or neither. */
export async function auditMutation(
  tx: Transaction,
  { caller, method, reason, requestId, message }: AuditedMutation,
  revision: Revision | undefined,
  time: Timestamp,
): Promise<void> {
  const changed = revision?.changes.map(({ operatorId }) => operatorId) ?? [];
  await tx.insert(auditEvent).values({
    time,
    actorPrincipal: caller.actor.principal,
    actorKind: Actor_KindSchema.value[caller.actor.kind]?.localName ?? String(caller.actor.kind),
    source: caller.actor.source,
    method,
    target: targetOf(message, changed),
    result: "OK",
    requestId,
    detail: {
      reason,
      ...(revision === undefined ? {} : { revision: String(revision.position.revision) }),
      ...(changed.length > 1 ? { operators: changed.slice(0, MAX_LISTED), operatorCount: changed.length } : {}),
    },
  });
}

/** E.g. `operators/acme/connections/main`; `operators` for a mutation of many. */
function targetOf(message: Message, changed: readonly string[]): string {
  const operatorId = textField(message, "operatorId") ?? (changed.length === 1 ? changed[0] : undefined);
  if (operatorId === undefined) return "operators";
  const connectionId = textField(message, "connectionId");
  return connectionId === undefined ? `operators/${operatorId}` : `operators/${operatorId}/connections/${connectionId}`;
}

function textField(message: Message, name: string): string | undefined {
  const value: unknown = (message as Message & Readonly<Record<string, unknown>>)[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}
