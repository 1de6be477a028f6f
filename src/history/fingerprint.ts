import { createHash } from "node:crypto";

/** The number of this rule in `config_head.chain`; another rule would get another number. */
export const CHAIN = 1;

/** One record's part in its revision's fingerprint. */
export interface RecordDigest {
  readonly operatorId: string;
  /** SHA-256 of the stored ConfigChange's bytes. */
  readonly digest: Uint8Array;
}

/** The fingerprint of revision 0: SHA-256 of the store's id. */
export function genesis(store: Uint8Array): Uint8Array {
  return sha256(store);
}

/** SHA-256("ops1" ‖ previous ‖ u64be revision ‖ u32be n ‖ digests ordered by operator id). */
export function nextFingerprint(previous: Uint8Array, revision: bigint, digests: readonly RecordDigest[]): Uint8Array {
  const numbers = Buffer.alloc(12);
  numbers.writeBigUInt64BE(revision, 0);
  numbers.writeUInt32BE(digests.length, 8);
  const hash = createHash("sha256").update("ops1").update(previous).update(numbers);
  for (const { digest } of digests.toSorted(byOperatorId)) hash.update(digest);
  return new Uint8Array(hash.digest());
}

/** SHA-256 of the bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

function byOperatorId(a: RecordDigest, b: RecordDigest): number {
  return a.operatorId < b.operatorId ? -1 : a.operatorId > b.operatorId ? 1 : 0;
}
