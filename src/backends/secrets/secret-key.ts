import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { errnoOf, writeNewFile } from "../durable-file.ts";

const KEY_BYTES = 32;

/** The key's file is not what it was made as, so that no secret can be read; restore it from a backup. */
export class SecretKeyError extends Error {
  override readonly name = "SecretKeyError";
}

/**
 * The key of the embedded secret store, 32 random bytes in a file (0600) that is made at first use.
 * @param secretsExist with secrets on disk a missing key is an error: a new one could read none of them
 * @throws SecretKeyError
 */
export async function loadSecretKey(file: string, secretsExist: boolean): Promise<Uint8Array> {
  let key = await readKey(file);
  if (key === undefined) {
    if (secretsExist) {
      throw new SecretKeyError(
        `${file} is missing, but there are secrets that were encrypted with it; restore it from a backup`,
      );
    }
    await writeNewFile(file, randomBytes(KEY_BYTES));
    key = await readKey(file);
  }
  if (key?.length !== KEY_BYTES) {
    throw new SecretKeyError(`${file} is damaged: it must hold ${KEY_BYTES} bytes; restore it from a backup`);
  }
  return key;
}

async function readKey(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
