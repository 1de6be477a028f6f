import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { decodeToken } from "./token.ts";

// Magic and version · SHA-256 of all that follows · length and JSON of the header · length and message of each operator.
const MAGIC = new TextEncoder().encode("OPSCAT\0\x01");
const HASH_BYTES = 32;
const LENGTH_BYTES = 4;

/** A catalog's state at one position. */
export interface CatalogSnapshot {
  readonly operators: readonly Operator[];
  readonly token: string;
  /** What the catalog was filtered by; a token resumes only the same one. */
  readonly filter: string;
  /** When the service last confirmed it. */
  readonly time: Date;
}

interface Header {
  readonly token: string;
  readonly filter: string;
  readonly time: string;
  readonly operators: number;
}

/** A snapshot as bytes, with a checksum. Holds no secret: operators have none. */
export async function encodeSnapshot({ operators, token, filter, time }: CatalogSnapshot): Promise<Uint8Array> {
  const header: Header = { token, filter, time: time.toISOString(), operators: operators.length };
  const parts = [new TextEncoder().encode(JSON.stringify(header))];
  for (const operator of operators) parts.push(toBinary(OperatorSchema, operator));
  const body = new Uint8Array(parts.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0));
  const view = new DataView(body.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    body.set(part, at + LENGTH_BYTES);
    at += LENGTH_BYTES + part.length;
  }
  const bytes = new Uint8Array(MAGIC.length + HASH_BYTES + body.length);
  bytes.set(MAGIC);
  bytes.set(await sha256(body), MAGIC.length);
  bytes.set(body, MAGIC.length + HASH_BYTES);
  return bytes;
}

/** Reads one back. Rejects with CatalogError SNAPSHOT_REFUSED, whose message says why, for anything but a whole snapshot of this filter. */
export async function decodeSnapshot(bytes: Uint8Array, filter: string): Promise<CatalogSnapshot> {
  const kind = MAGIC.length - 1;
  if (!MAGIC.subarray(0, kind).every((byte, i) => bytes[i] === byte)) throw refused("it is no snapshot of a catalog");
  if (bytes[kind] !== MAGIC[kind]) throw refused("it was written by another version of this package");
  const body = bytes.slice(MAGIC.length + HASH_BYTES);
  const hash = await sha256(body);
  if (!hash.every((byte, i) => bytes[MAGIC.length + i] === byte)) throw refused("it is damaged");
  let header: Header;
  let operators: Operator[];
  try {
    const [first = new Uint8Array(), ...others] = [...partsOf(body)];
    header = JSON.parse(new TextDecoder().decode(first)) as Header;
    operators = others.map((part) => fromBinary(OperatorSchema, part));
  } catch (cause) {
    throw refused("what is in it can't be read", cause);
  }
  if (header.filter !== filter) throw refused("it is of a catalog with another filter");
  const time = new Date(header.time);
  if (
    operators.length !== header.operators ||
    Number.isNaN(time.getTime()) ||
    decodeToken(header.token) === undefined
  ) {
    throw refused("what is in it makes no sense");
  }
  return { operators, token: header.token, filter, time };
}

function* partsOf(body: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = 0; at < body.length;) {
    const length = view.getUint32(at);
    at += LENGTH_BYTES;
    if (at + length > body.length) throw new RangeError("a part ends beyond the end");
    yield body.subarray(at, at + length);
    at += length;
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function refused(why: string, cause?: unknown): CatalogError {
  return new CatalogError("SNAPSHOT_REFUSED", `the snapshot is not used: ${why}`, cause === undefined ? {} : { cause });
}
