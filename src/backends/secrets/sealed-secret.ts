import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ConnectionSecretSchema,
  type ConnectionSecret,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { SecretDamagedError } from "./secret-store.ts";

// format (1 byte) ‖ nonce (12) ‖ tag (16) ‖ ciphertext
const FORMAT = 1;
const NONCE = 12;
const TAG = 16;
const HEADER = 1 + NONCE + TAG;

/** Encrypts a secret with AES-256-GCM under a fresh nonce. The path is authenticated with it, so no file can stand in for another. */
export function sealSecret(key: Uint8Array, path: string, secret: ConnectionSecret): Uint8Array {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG });
  cipher.setAAD(associatedData(path));
  const ciphertext = Buffer.concat([cipher.update(toBinary(ConnectionSecretSchema, secret)), cipher.final()]);
  return Buffer.concat([Uint8Array.of(FORMAT), nonce, cipher.getAuthTag(), ciphertext]);
}

/** @throws SecretDamagedError */
export function openSecret(key: Uint8Array, path: string, sealed: Uint8Array): ConnectionSecret {
  if (sealed.length < HEADER) throw new SecretDamagedError(path, `${sealed.length} bytes are too few`);
  if (sealed[0] !== FORMAT) throw new SecretDamagedError(path, `its format is unknown to this release`);
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 1 + NONCE), { authTagLength: TAG });
  decipher.setAAD(associatedData(path));
  decipher.setAuthTag(sealed.subarray(1 + NONCE, HEADER));
  let plain: Buffer;
  try {
    plain = Buffer.concat([decipher.update(sealed.subarray(HEADER)), decipher.final()]);
  } catch {
    throw new SecretDamagedError(path, "its bytes, its place or the key is not what it was written with");
  }
  // Authenticated, so these are the very bytes that sealSecret encoded.
  return fromBinary(ConnectionSecretSchema, plain);
}

function associatedData(path: string): Buffer {
  return Buffer.from(`ops-secret-${FORMAT}\0${path}`);
}
