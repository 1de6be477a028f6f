import { fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { sha256, type RecordDigest } from "../history/fingerprint.ts";
import { entryOf, type CatalogEntry } from "./entry.ts";
import type { IndexKeys } from "./index-keys.ts";

/** One operator's part of a revision. Both sides undefined: nothing that a watcher could see, as in a purge. */
export interface RevisionChange {
  readonly id: string;
  readonly uid: string;
  /** What filters saw before; undefined when the operator was not live. */
  readonly before: IndexKeys | undefined;
  /** The live operator after; undefined when it was deleted. */
  readonly after: CatalogEntry | undefined;
}

/** All that happened in one revision, ready to be applied and watched. */
export interface Revision {
  readonly revision: bigint;
  /** In id order. */
  readonly changes: readonly RevisionChange[];
  readonly digests: readonly RecordDigest[];
  /** About what it takes in memory. */
  readonly bytes: number;
}

/** A row of config_change. */
export interface ChangeRow {
  readonly revision: bigint;
  readonly operatorUid: string;
  readonly operatorId: string;
  readonly record: Uint8Array;
}

/** What was known of an operator just before a revision. */
export interface KnownOperators {
  before(id: string, uid: string): IndexKeys | undefined;
  /** An entry that may be taken instead of an equal new one. */
  same(id: string, digest: Uint8Array): CatalogEntry | undefined;
}

const OVERHEAD = 512;

/** Reads the rows of one revision, once for everybody. */
export function readRevision(revision: bigint, rows: readonly ChangeRow[], known: KnownOperators): Revision {
  const changes = rows.map((row) => readChange(row, known)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    revision,
    changes,
    digests: rows.map((row) => ({ operatorId: row.operatorId, digest: sha256(row.record) })),
    bytes: changes.reduce((sum, { after }) => sum + OVERHEAD + (after?.delimited.length ?? 0), OVERHEAD),
  };
}

function readChange({ operatorId, operatorUid, record }: ChangeRow, known: KnownOperators): RevisionChange {
  const { operator } = fromBinary(ConfigChangeSchema, record);
  const before = known.before(operatorId, operatorUid);
  const identity = { id: operatorId, uid: operatorUid, before };
  if (operator.length === 0) return { ...identity, after: undefined };
  const digest = sha256(operator);
  return { ...identity, after: known.same(operatorId, digest) ?? entryOf(operator, digest) };
}
