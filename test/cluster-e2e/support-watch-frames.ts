import { fromBinary } from "@bufbuild/protobuf";
import { decodeToken } from "@operator-management/client";
import {
  WatchOperatorsResponseSchema,
  type Bookmark,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";

/** What a message of a watch says, for a reader who doesn't care about operators. */
export interface WatchWord {
  readonly kind: "changes" | "bookmark";
  /** The position's revision; undefined within a snapshot. */
  readonly revision: number | undefined;
  readonly token: string;
  /** Bytes of the message. */
  readonly bytes: number;
}

const PREFIX_BYTES = 5;
const CHANGES_TAG = 0x0a;
/** A token's tag in OperatorChanges, whose last field it is. */
const TOKEN_TAG = 0x12;
/** A token is some 90 characters. */
const TAIL_BYTES = 256;

/**
 * Reads the gRPC messages of one watch without ever holding a large one: of it, only the end is kept, where the token stands. A thousand
 * readers in one process would otherwise hold a thousand copies.
 */
export class WatchFrames {
  #prefix: Buffer = Buffer.alloc(0);
  #left = 0;
  #size = 0;
  #first = 0;
  #tail: Buffer = Buffer.alloc(0);

  /** The messages that are complete with these bytes. */
  push(bytes: Buffer): WatchWord[] {
    const words: WatchWord[] = [];
    while (bytes.length > 0) {
      if (this.#left === 0) {
        const missing = PREFIX_BYTES - this.#prefix.length;
        this.#prefix = Buffer.concat([this.#prefix, bytes.subarray(0, missing)]);
        bytes = bytes.subarray(missing);
        if (this.#prefix.length < PREFIX_BYTES) break;
        this.#left = this.#size = this.#prefix.readUInt32BE(1);
        this.#prefix = this.#tail = Buffer.alloc(0);
        if (bytes.length === 0) break;
      }
      if (this.#left === this.#size) this.#first = bytes[0] ?? 0;
      const part = bytes.subarray(0, this.#left);
      this.#tail = part.length >= TAIL_BYTES ? Buffer.from(part) : Buffer.concat([this.#tail, part]);
      this.#tail = this.#tail.subarray(-TAIL_BYTES);
      this.#left -= part.length;
      bytes = bytes.subarray(part.length);
      if (this.#left === 0) words.push(this.#word());
    }
    return words;
  }

  #word(): WatchWord {
    const kind = this.#first === CHANGES_TAG ? "changes" : "bookmark";
    const token = kind === "changes" ? tokenAtEnd(this.#tail) : bookmarkOf(this.#tail).token;
    const decoded = decodeToken(token);
    return { kind, token, revision: decoded && Number(decoded.revision), bytes: this.#size };
  }
}

/** Empty when there is none. */
function tokenAtEnd(tail: Buffer): string {
  for (let length = 64; length < 128 && length + 2 <= tail.length; length++) {
    const at = tail.length - length;
    if (tail[at - 1] !== length || tail[at - 2] !== TOKEN_TAG) continue;
    const text = tail.toString("latin1", at);
    if (decodeToken(text) !== undefined) return text;
  }
  return "";
}

function bookmarkOf(bytes: Buffer): Bookmark {
  const { message } = fromBinary(WatchOperatorsResponseSchema, bytes);
  if (message.case !== "bookmark") throw new Error("neither changes nor a bookmark");
  return message.value;
}
