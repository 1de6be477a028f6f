/**
 * PostgreSQL's wire protocol, as far as a proxy must know it to count messages
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html). Without TLS: between this machine's ports there is none.
 */

/** One whole message, as it goes over the wire. */
export interface WireMessage {
  /** `Q`, `P`, `B`, `D`, `E`, `S` … from a client, `C`, `Z` … from the server; empty for the one that opens a connection. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** Cuts a stream of bytes into whole messages. */
export class MessageSplitter {
  #rest: Buffer = Buffer.alloc(0);
  #hasType: boolean;

  /** `opens`: the first message is a client's opening one, which has no type. */
  constructor({ opens }: { readonly opens: boolean }) {
    this.#hasType = !opens;
  }

  /** The messages that are complete with these bytes. */
  push(bytes: Buffer): WireMessage[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const messages: WireMessage[] = [];
    for (let message = this.#take(); message !== undefined; message = this.#take()) messages.push(message);
    return messages;
  }

  #take(): WireMessage | undefined {
    const typeLength = this.#hasType ? 1 : 0;
    if (this.#rest.length < typeLength + 4) return undefined;
    const length = typeLength + this.#rest.readInt32BE(typeLength);
    if (this.#rest.length < length) return undefined;
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    const type = this.#hasType ? String.fromCharCode(bytes[0] ?? 0) : "";
    this.#hasType = true;
    return { type, bytes };
  }
}

/** The SQL of a message that carries some: a simple query's or a statement's to prepare. */
export function sqlOf({ type, bytes }: WireMessage): string | undefined {
  if (type === "Q") return bytes.toString("utf8", 5, bytes.length - 1);
  if (type !== "P") return undefined;
  const name = bytes.indexOf(0, 5);
  return bytes.toString("utf8", name + 1, bytes.indexOf(0, name + 1));
}
