import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Looks for many byte strings at once, in one pass and in the memory of one chunk. */
export class Needles {
  readonly #byPrefix = new Map<number, { readonly name: string; readonly bytes: Buffer }[]>();
  #longest = 0;

  /** The bytes as they are and in every form in which they may have been written down; of text, give a part without special characters. */
  add(name: string, secret: Buffer): void {
    for (const [form, bytes] of formsOf(secret)) {
      const prefix = bytes.readUInt16LE();
      this.#byPrefix.set(prefix, [...(this.#byPrefix.get(prefix) ?? []), { name: `${name} (${form})`, bytes }]);
      this.#longest = Math.max(this.#longest, bytes.length);
    }
  }

  /** The names of those in it. */
  in(bytes: Buffer): Set<string> {
    const found = new Set<string>();
    const isPrefix = new Uint8Array(65_536);
    for (const prefix of this.#byPrefix.keys()) isPrefix[prefix] = 1;
    let pair = (bytes[0] ?? 0) << 8;
    for (let at = 0; at + 1 < bytes.length; at++) {
      pair = (pair >> 8) | ((bytes[at + 1] ?? 0) << 8);
      if (isPrefix[pair] !== 1) continue;
      for (const { name, bytes: needle } of this.#byPrefix.get(pair) ?? []) {
        if (bytes.subarray(at, at + needle.length).equals(needle)) found.add(name);
      }
    }
    return found;
  }

  async inFile(file: string): Promise<Set<string>> {
    const found = new Set<string>();
    let tail: Buffer = Buffer.alloc(0);
    for await (const chunk of createReadStream(file, { highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>) {
      const bytes = Buffer.concat([tail, chunk]);
      for (const name of this.in(bytes)) found.add(name);
      tail = Buffer.from(bytes.subarray(Math.max(0, bytes.length - this.#longest + 1)));
    }
    return found;
  }
}

/** Every file below the folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

function formsOf(secret: Buffer): [string, Buffer][] {
  const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
  const hex = secret.toString("hex");
  const percent = hex.replace(/../g, "%$&");
  const utf16 = Buffer.from(secret.toString("latin1"), "utf16le");
  // Where it begins within three bytes decides how it looks in base64; what its neighbours have a part in is left out.
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), secret])
      .toString("base64")
      .replaceAll("=", "");
    return text.slice([0, 2, 3][offset], Math.floor(((offset + secret.length) * 8) / 6));
  });
  return [
    ["raw", secret],
    ["hex", latin1(hex)],
    ["HEX", latin1(hex.toUpperCase())],
    ["percent", latin1(percent)],
    ["PERCENT", latin1(percent.toUpperCase())],
    ["UTF-16LE", utf16],
    ["UTF-16BE", Buffer.from(utf16).swap16()],
    ...base64.map((text): [string, Buffer] => ["base64", latin1(text)]),
    ...base64.map((text): [string, Buffer] => ["base64url", latin1(text.replaceAll("+", "-").replaceAll("/", "_"))]),
  ];
}
