import { fromBinary } from "@bufbuild/protobuf";
import { ConfigReferenceSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { Bus, BusMessage } from "../backends/bus/bus.ts";
import { sameBytes } from "../catalog/bytes.ts";
import type { Database } from "../db/db.ts";
import { sha256 } from "../history/fingerprint.ts";
import { operatorIdOf, rawField } from "./config-event.ts";
import { lastRecordKeys, readDigests, type RecordKey } from "./last-records.ts";

const KEYS_AT_ONCE = 100;

/** An operator of which the stream's last word is not history's. */
export interface Difference {
  readonly operatorId: string;
  /** What should be told; undefined when history knows no such operator. */
  readonly key: RecordKey | undefined;
}

/** What the stream says last of an operator. */
interface Told {
  readonly sequence: number;
  readonly absent: boolean;
  /** SHA-256 of the record. */
  readonly digest: Uint8Array | undefined;
  /** The revision, where it is told by reference. */
  readonly revision: bigint | undefined;
}

/**
 * Compares what the stream says last of every operator, up to a sequence at which it holds all of history through this revision, with
 * the records themselves.
 */
export async function findDifferences(
  bus: Pick<Bus, "lastPerSubject">,
  db: Pick<Database, "select">,
  { sequence, revision }: { readonly sequence: number; readonly revision: bigint },
  signal: AbortSignal,
): Promise<Difference[]> {
  const told = new Map<string, Told>();
  const take = (message: BusMessage): void => {
    const operatorId = operatorIdOf(message.subject);
    if (operatorId !== undefined) told.set(operatorId, toldBy(message));
  };
  await bus.lastPerSubject("OPS_CONFIG", take, signal);
  const keys = await lastRecordKeys(db, revision);
  const differences: Difference[] = [];
  for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
    signal.throwIfAborted();
    const some = keys.slice(at, at + KEYS_AT_ONCE);
    const digests = await readDigests(db, some);
    for (const key of some) {
      const { operatorId } = key;
      const last = told.get(operatorId);
      told.delete(operatorId);
      if (last !== undefined && last.sequence > sequence) continue; // told by somebody who is ahead
      if (!agrees(last, key, digests.get(operatorId) ?? [])) differences.push({ operatorId, key });
    }
  }
  for (const [operatorId, last] of told) {
    if (!last.absent && last.sequence <= sequence) differences.push({ operatorId, key: undefined });
  }
  return differences;
}

function agrees(told: Told | undefined, key: RecordKey, digests: readonly Uint8Array[]): boolean {
  const { digest, revision } = told ?? {};
  return revision === key.revision || (digest !== undefined && digests.some((other) => sameBytes(digest, other)));
}

function toldBy({ data, sequence }: BusMessage): Told {
  const change = rawField(data, "change");
  const reference = rawField(data, "reference");
  return {
    sequence,
    absent: rawField(data, "absence") !== undefined,
    digest: change && sha256(change),
    revision: reference && revisionOf(reference),
  };
}

function revisionOf(reference: Uint8Array): bigint | undefined {
  try {
    return fromBinary(ConfigReferenceSchema, reference).revision;
  } catch {
    return undefined; // somebody else's message: it differs
  }
}
