const HEADER_BYTES = 16;

/** The bytes received cannot be SMPP; nothing after them can be trusted, so the connection has to go. */
export class FramingError extends Error {
  override readonly name = "FramingError";
}

/**
 * Cuts a byte stream into PDUs by their command_length. The library's own session does this too, but waits forever
 * on a length below 5 and keeps its length limit in a process-wide variable.
 */
export class FrameReader {
  readonly #maxBytes: number;
  #pending: Buffer = Buffer.alloc(0);

  /** @param maxBytes the largest command_length accepted, in bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Yields each PDU that `chunk` completes. Throws {@link FramingError} on a length no PDU may have. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 4) {
      const length = this.#pending.readUInt32BE(0);
      if (length < HEADER_BYTES || length > this.#maxBytes) {
        throw new FramingError(
          `a PDU cannot be ${length} bytes long (${HEADER_BYTES} to ${this.#maxBytes} are accepted)`,
        );
      }
      if (this.#pending.length < length) return;
      const frame = this.#pending.subarray(0, length);
      this.#pending = this.#pending.subarray(length);
      yield frame;
    }
  }
}
