import { toBinary } from "@bufbuild/protobuf";
import {
  OperatorRevisionSchema,
  type OperatorRevision,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { MAX_REPLY_BYTES } from "../rpc/paging.ts";
import type { Reader } from "./find-operator.ts";
import { revisionOf } from "./messages.ts";
import { recordsDownFrom } from "./queries.ts";

/** Records in memory at once, at most 256 KiB and their diff each. */
const CHUNK = 32;

/** Revisions of an operator, newest first; `next` is where the following page begins. */
export interface RevisionPage {
  readonly revisions: OperatorRevision[];
  readonly next: bigint | undefined;
}

/** The page that begins at the revision, or at the first one below it. */
export async function listRevisions(
  reader: Reader,
  uid: string,
  start: bigint,
  pageSize: number,
): Promise<RevisionPage> {
  const revisions: OperatorRevision[] = [];
  let bytes = 0;
  let from = start;
  for (;;) {
    const limit = Math.min(CHUNK, pageSize - revisions.length + 1);
    const rows = await recordsDownFrom(reader, uid, from, limit);
    for (const row of rows) {
      const { revision } = revisionOf(row.record);
      bytes += toBinary(OperatorRevisionSchema, revision).length;
      const full = revisions.length === pageSize || (revisions.length > 0 && bytes > MAX_REPLY_BYTES);
      if (full) return { revisions, next: row.revision };
      revisions.push(revision);
      from = row.revision - 1n;
    }
    if (rows.length < limit) return { revisions, next: undefined };
  }
}
