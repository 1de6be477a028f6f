import { create, createRegistry, toBinary, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { TimestampSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { file_ops_v1_operator_admin } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { and, eq, gt, inArray, lte, sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { requestLog } from "../db/schema.ts";
import { ordered } from "../operators/canonical.ts";
import { isRedacted } from "../operators/field-options.ts";
import type { Caller } from "../rpc/caller.ts";
import { opsError } from "../rpc/errors.ts";
import { sha256 } from "./fingerprint.ts";

const KEPT_SECONDS = 24n * 60n * 60n;
const PURGE_BATCH = 500;
const requests = createRegistry(file_ops_v1_operator_admin);

/** What a request id is looked up by: one principal's calls of one method. */
export interface LoggedRequest {
  readonly caller: Pick<Caller, "actor">;
  readonly method: string;
  readonly requestId: string;
  readonly message: Message;
}

/** The log's entry for a request. */
export interface RequestLogEntry {
  /** The encoded reply that this request got within 24 hours. Throws REQUEST_ID_REUSED if it was another request's. */
  findReply(): Promise<Uint8Array | undefined>;
  /** Notes the reply of the successful request; a forgotten one under the same id is replaced. */
  write(reply: Uint8Array, revision: bigint): Promise<void>;
}

/** The entry of this request, in the transaction that makes the change; undefined for a request without an id. */
export function openRequestLog(tx: Transaction, request: LoggedRequest, now: Timestamp): RequestLogEntry | undefined {
  const { method, requestId } = request;
  if (requestId === "") return undefined;
  const key = { principal: request.caller.actor.principal, method, requestId };
  const hash = requestHash(request.message);
  return {
    findReply: async () => {
      const [row] = await tx
        .select({ hash: requestLog.requestHash, reply: requestLog.reply })
        .from(requestLog)
        .where(
          and(
            eq(requestLog.principal, key.principal),
            eq(requestLog.method, method),
            eq(requestLog.requestId, requestId),
            gt(requestLog.createTime, forgottenAt(now)),
          ),
        );
      if (row !== undefined && Buffer.compare(row.hash, hash) !== 0) throw reused(method, requestId);
      return row?.reply;
    },
    write: async (reply, revision) => {
      const entry = { requestHash: hash, reply, revision, createTime: now };
      await tx
        .insert(requestLog)
        .values({ ...key, ...entry })
        .onConflictDoUpdate({ target: [requestLog.principal, requestLog.method, requestLog.requestId], set: entry });
    },
  };
}

/** SHA-256 of a request's content; secret fields don't count, so that nothing about them is stored, and neither does map order. */
function requestHash(message: Message): Uint8Array {
  const desc = requests.getMessage(message.$typeName);
  if (desc === undefined) throw new Error(`${message.$typeName} is no request of the admin service`);
  const content = ordered(reflect(desc, message, false), (field) => !isRedacted(field));
  return sha256(toBinary(desc, content.message));
}

/** Removes some of the forgotten replies, so that no commit pays for many. True when there may be more. */
export async function purgeReplies(tx: Transaction, now: Timestamp): Promise<boolean> {
  const row = sql`ctid`;
  const batch = tx
    .select({ row })
    .from(requestLog)
    .where(lte(requestLog.createTime, forgottenAt(now)))
    .limit(PURGE_BATCH);
  const purged = await tx.delete(requestLog).where(inArray(row, batch)).returning({ id: requestLog.requestId });
  return purged.length === PURGE_BATCH;
}

function forgottenAt(now: Timestamp): Timestamp {
  return create(TimestampSchema, { seconds: now.seconds - KEPT_SECONDS, nanos: now.nanos });
}

function reused(method: string, requestId: string): Error {
  return opsError(
    ErrorReason.REQUEST_ID_REUSED,
    `request_id: ${requestId} was used within 24 hours for a ${method} with other content; send a new id`,
    { metadata: { field: "request_id", request_id: requestId } },
  );
}
