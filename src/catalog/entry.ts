import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { sha256 } from "../history/fingerprint.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { indexKeys, type IndexKeys } from "./index-keys.ts";

/** One operator at one revision. Never changes. */
export class CatalogEntry {
  readonly uid: string;
  readonly keys: IndexKeys;
  /** The encoded operator behind its length: what a message field or a list element consists of after the tag. */
  readonly delimited: Uint8Array;
  /** SHA-256 of the encoded operator. */
  readonly digest: Uint8Array;
  // Decoded operators are some ten times their encoded size, and few are read twice: the next collection may have them back.
  #operator: WeakRef<Operator>;

  constructor(operator: Operator, record: Uint8Array, digest: Uint8Array) {
    this.uid = operator.uid;
    this.keys = indexKeys(operator);
    this.delimited = new BinaryWriter().bytes(record).finish();
    this.digest = digest;
    this.#operator = new WeakRef(operator);
  }

  get id(): string {
    return this.keys.id;
  }

  /** The encoded operator, as history stores it. */
  get bytes(): Uint8Array {
    const length = this.delimited.length;
    // The length takes one byte for each 7 bits of it.
    const prefix = length < 0x80 + 1 ? 1 : length < 0x4000 + 2 ? 2 : length < 0x200000 + 3 ? 3 : 4;
    return this.delimited.subarray(prefix);
  }

  /** The decoded operator, frozen. */
  get operator(): Operator {
    let operator = this.#operator.deref();
    if (operator === undefined || !Object.isFrozen(operator)) {
      operator = deepFreeze(operator ?? fromBinary(OperatorSchema, this.bytes));
      this.#operator = new WeakRef(operator);
    }
    return operator;
  }
}

/** The entry of an encoded operator; undefined for a deleted one. The bytes are copied. */
export function entryOf(record: Uint8Array, digest: Uint8Array = sha256(record)): CatalogEntry | undefined {
  const operator = fromBinary(OperatorSchema, record);
  return operator.deleteTime === undefined ? new CatalogEntry(operator, record, digest) : undefined;
}
