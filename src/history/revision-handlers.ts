import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { decodeToken } from "@operator-management/client";
import { ErrorReason, type Consistency } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  GetOperatorRevisionResponseSchema,
  ListOperatorRevisionsResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { operatorNotFound } from "../catalog/operator-not-found.ts";
import type { Database } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { opsError } from "../rpc/errors.ts";
import { decodePageToken, encodePageToken, hashArguments, pageTokenInvalid } from "../rpc/page-token.ts";
import { listRevisions } from "./list-revisions.ts";
import { revisionOf } from "./messages.ts";
import { findRecord, findUid } from "./queries.ts";

const DEFAULT_PAGE_SIZE = 50;

/** The position that a read is answered at. */
export interface ReadPoint {
  readonly token: string;
  /** Since when the primary can't be reached; undefined while it can. */
  readonly staleSince: Timestamp | undefined;
}

/** What the reads of history need. */
export interface RevisionDeps {
  readonly db: Database;
  /** Waits until the asked-for consistency holds; unset means the default of admin reads. */
  readonly readAt: (consistency: Consistency | undefined, signal: AbortSignal) => Promise<ReadPoint>;
}

type RevisionMethods = "listOperatorRevisions" | "getOperatorRevision";

/** An operator's history, also a deleted one's. It comes from the database, not from memory. */
export function revisionHandlers({
  db,
  readAt,
}: RevisionDeps): Pick<ServiceImpl<typeof OperatorAdminService>, RevisionMethods> {
  return {
    async listOperatorRevisions({ operatorId, pageSize, pageToken, consistency }, { signal }) {
      const hash = hashArguments("ListOperatorRevisions", operatorId);
      const key = decodePageToken(pageToken, hash, 2);
      if (key !== undefined && decodeToken(key[1] ?? "") === undefined) throw pageTokenInvalid();
      const point =
        key === undefined ? await readAt(consistency, signal) : { token: key[1] ?? "", staleSince: undefined };
      const start = key === undefined ? revisionOfToken(point.token) : revisionOfKey(key[0] ?? "");
      return reading(async () => {
        const uid = await uidOf(db, operatorId);
        const { revisions, next } = await listRevisions(db, uid, start, pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize);
        return create(ListOperatorRevisionsResponseSchema, {
          revisions,
          nextPageToken: next === undefined ? "" : encodePageToken([String(next), point.token], hash),
          ...position(point),
        });
      });
    },

    async getOperatorRevision({ operatorId, revisionId, consistency }, { signal }) {
      const point = await readAt(consistency, signal);
      return reading(async () => {
        const uid = await uidOf(db, operatorId);
        const record = await findRecord(db, uid, BigInt(revisionId));
        if (record === undefined) throw revisionNotFound(operatorId, revisionId);
        const { revision, operator } = revisionOf(record);
        return create(GetOperatorRevisionResponseSchema, {
          revision,
          ...(operator && { operator }),
          ...position(point),
        });
      });
    },
  };
}

async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

function position({ token, staleSince }: ReadPoint): { token: string; staleSince?: Timestamp } {
  return { token, ...(staleSince && { staleSince }) };
}

function revisionOfToken(token: string): bigint {
  const decoded = decodeToken(token);
  if (decoded === undefined) throw new Error("the catalog gave a token that isn't one");
  return decoded.revision;
}

function revisionOfKey(text: string): bigint {
  if (/^[1-9][0-9]{0,17}$/.test(text)) return BigInt(text);
  throw pageTokenInvalid();
}

async function uidOf(db: Database, operatorId: string): Promise<string> {
  const uid = await findUid(db, operatorId);
  if (uid === undefined) throw operatorNotFound(operatorId);
  return uid;
}

function revisionNotFound(operatorId: string, revisionId: string): Error {
  return opsError(
    ErrorReason.REVISION_NOT_FOUND,
    `operator ${operatorId} has no revision ${revisionId}; ListOperatorRevisions shows which it has`,
    {
      metadata: { operator_id: operatorId, revision_id: revisionId },
      resource: { type: "ops.v1.OperatorRevision", name: `operators/${operatorId}/revisions/${revisionId}` },
    },
  );
}
