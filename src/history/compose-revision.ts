import { create, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Position } from "@operator-management/client";
import { ErrorReason, type Actor, type FieldChange } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { canonicalBytes } from "../operators/canonical.ts";
import { opsError } from "../rpc/errors.ts";
import { nextFingerprint, sha256 } from "./fingerprint.ts";
import { operatorRow, type OperatorRow } from "./operator-row.ts";

/** Largest encoding of one operator, in bytes. */
export const MAX_OPERATOR_BYTES = 256 * 1024;
/** Most operators that one revision may change. */
export const MAX_OPERATORS = 1_000;
/** Largest sum of one revision's records, in bytes. */
export const MAX_REVISION_BYTES = 2 * 1024 * 1024;

const MAX_DIFF = 200;

/** What happens to one operator. `after` is sealed: stored as it is. A purge's `after` is the operator that is removed. */
export interface OperatorChange {
  readonly kind: ChangeKind;
  readonly before: Operator | undefined;
  readonly after: Operator;
  readonly diff: readonly FieldChange[];
}

/** Who changes, why, and when: the same for all operators of a revision. */
export interface Circumstances {
  readonly actor: Actor;
  readonly reason: string;
  readonly commitTime: Timestamp;
}

/** One operator's part of a revision, encoded: the row of history, and the current row, which a purge takes away. */
export interface ComposedChange {
  readonly uid: string;
  readonly operatorId: string;
  readonly record: Uint8Array;
  readonly row: OperatorRow | undefined;
}

/** A revision ready to be written. */
export interface Revision {
  readonly position: Position;
  readonly changes: readonly ComposedChange[];
}

/** Encodes each operator once and chains the records to the revision before. Pure. Throws TOO_LARGE. */
export function composeRevision(
  previous: Position,
  changes: readonly OperatorChange[],
  circumstances: Circumstances,
): Revision {
  if (changes.length > MAX_OPERATORS)
    throw tooLarge("operators", changes.length, MAX_OPERATORS, "operators in one change");
  const revision = previous.revision + 1n;
  const composed = changes.map((change) => compose(revision, change, circumstances));
  const bytes = composed.reduce((sum, { record }) => sum + record.length, 0);
  if (bytes > MAX_REVISION_BYTES) throw tooLarge("revision", bytes, MAX_REVISION_BYTES, "bytes in one change");
  const digests = composed.map(({ operatorId, record }) => ({ operatorId, digest: sha256(record) }));
  const fingerprint = nextFingerprint(previous.fingerprint, revision, digests);
  return { position: { store: previous.store, revision, fingerprint }, changes: composed };
}

function compose(
  revision: bigint,
  { kind, after, diff }: OperatorChange,
  circumstances: Circumstances,
): ComposedChange {
  const purged = kind === ChangeKind.PURGED;
  const operator = purged ? new Uint8Array() : canonicalBytes(after);
  if (operator.length > MAX_OPERATOR_BYTES) {
    throw tooLarge("operator", operator.length, MAX_OPERATOR_BYTES, `bytes in operator ${after.id}`);
  }
  const record = toBinary(
    ConfigChangeSchema,
    create(ConfigChangeSchema, {
      ...circumstances,
      uid: after.uid,
      operatorId: after.id,
      kind,
      diff: diff.slice(0, MAX_DIFF),
      diffTruncated: diff.length > MAX_DIFF,
      revision,
      operator,
    }),
  );
  const row = purged ? undefined : operatorRow(revision, operator, after);
  return { uid: after.uid, operatorId: after.id, record, row };
}

function tooLarge(limitName: string, size: number, limit: number, what: string): Error {
  return opsError(
    ErrorReason.TOO_LARGE,
    `${size} ${what} are more than the limit of ${limit}; make it smaller or split it`,
    {
      metadata: { limit_name: limitName, size: String(size), limit: String(limit) },
    },
  );
}
