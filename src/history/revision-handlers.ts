import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { decodeToken } from "@operator-management/client";
import { ErrorReason, type Token } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  GetOperatorRevisionResponseSchema,
  ListOperatorRevisionsResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { readAt, type ReadPoint } from "../catalog/consistency.ts";
import { operatorNotFound } from "../catalog/operator-not-found.ts";
import {
  freshnessOf,
  notFoundYet,
  readSnapshot,
  type SnapshotRead,
  type SnapshotReadDeps,
} from "../catalog/snapshot-read.ts";
import { opsError } from "../rpc/errors.ts";
import { decodePageToken, encodePageToken, hashArguments, pageTokenInvalid } from "../rpc/page-token.ts";
import { pageSizeOf } from "../rpc/paging.ts";
import { listRevisions } from "./list-revisions.ts";
import { revisionOf } from "./messages.ts";
import { findRecord, findUid } from "./queries.ts";

/** What the reads of history need. */
export type RevisionDeps = SnapshotReadDeps;

type RevisionMethods = "listOperatorRevisions" | "getOperatorRevision";

/** An operator's history, also a deleted one's. It comes from the database, not from memory. */
export function revisionHandlers(deps: RevisionDeps): Pick<ServiceImpl<typeof OperatorAdminService>, RevisionMethods> {
  const { catalog } = deps;
  return {
    async listOperatorRevisions({ operatorId, pageSize, pageToken, consistency }, { signal }) {
      const hash = hashArguments("ListOperatorRevisions", operatorId);
      const from = continuation(decodePageToken(pageToken, hash, 2));
      const freshness =
        from === undefined
          ? freshnessOf(consistency, await readAt(catalog, consistency, "fully_consistent", signal))
          : { atLeast: from.first, orOlder: false };
      if (from !== undefined) await catalog.waitFor(from.first, signal);
      const size = pageSizeOf(pageSize);
      const read = await readSnapshot(deps, freshness, async ({ tx, position }) => {
        const uid = await findUid(tx, operatorId);
        return uid === undefined ? undefined : listRevisions(tx, uid, from?.start ?? position.revision, size);
      });
      const page = required(read) ?? refuse(operatorNotFound(operatorId));
      const token = from?.token ?? read.token;
      return create(ListOperatorRevisionsResponseSchema, {
        revisions: page.revisions,
        nextPageToken: page.next === undefined ? "" : encodePageToken([String(page.next), token], hash),
        ...position({ token, staleSince: read.staleSince }),
      });
    },

    async getOperatorRevision({ operatorId, revisionId, consistency }, { signal }) {
      const point = await readAt(catalog, consistency, "fully_consistent", signal);
      const read = await readSnapshot(deps, freshnessOf(consistency, point), async ({ tx }) => {
        const uid = await findUid(tx, operatorId);
        return uid === undefined ? undefined : { record: await findRecord(tx, uid, BigInt(revisionId)) };
      });
      const { record } = required(read) ?? refuse(operatorNotFound(operatorId));
      if (record === undefined) throw read.older ? notFoundYet() : revisionNotFound(operatorId, revisionId);
      const { revision, operator } = revisionOf(record);
      return create(GetOperatorRevisionResponseSchema, {
        revision,
        ...(operator && { operator }),
        ...position(read),
      });
    },
  };
}

/** What was read; undefined where it isn't, which an older snapshot can't tell. @throws DATABASE_UNAVAILABLE */
function required<T>({ value, older }: SnapshotRead<T | undefined>): T | undefined {
  if (value === undefined && older) throw notFoundYet();
  return value;
}

function refuse(error: Error): never {
  throw error;
}

function position({ token, staleSince }: Pick<ReadPoint, "token" | "staleSince">): {
  token: string;
  staleSince?: Timestamp;
} {
  return { token, ...(staleSince && { staleSince }) };
}

/** Where a further page begins, and where the first was read. @throws PAGE_TOKEN_INVALID */
function continuation(
  key: readonly string[] | undefined,
): { readonly start: bigint; readonly token: string; readonly first: Token } | undefined {
  if (key === undefined) return undefined;
  const [start = "", token = ""] = key;
  const first = decodeToken(token);
  if (first === undefined) throw pageTokenInvalid();
  return { start: revisionOfKey(start), token, first };
}

function revisionOfKey(text: string): bigint {
  if (/^[1-9][0-9]{0,17}$/.test(text)) return BigInt(text);
  throw pageTokenInvalid();
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
