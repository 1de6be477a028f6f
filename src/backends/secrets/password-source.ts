import { readFile } from "node:fs/promises";
import { errnoOf } from "../durable-file.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { VaultError } from "./vault-error.ts";
import type { VaultKv } from "./vault-kv.ts";

/** Where the service's own password for a server comes from; asked for every new connection, so that a rotation needs no restart. */
export interface PasswordSource {
  /** @throws PasswordUnavailableError, the signal's reason */
  get(signal?: AbortSignal): Promise<string>;
  /** The server has refused the password: the next get looks anew. */
  forget(): void;
}

/** The password isn't where the settings say; the text says where that is, and never what is there. */
export class PasswordUnavailableError extends Error {
  override readonly name = "PasswordUnavailableError";
}

/** The content of a file without the newline at its end; read each time. */
export function passwordFromFile(file: string): PasswordSource {
  return {
    async get(signal) {
      signal?.throwIfAborted();
      let content: string;
      try {
        content = await readFile(file, "utf8");
      } catch (error) {
        throw new PasswordUnavailableError(`no password can be read from ${file} (${errnoOf(error)})`);
      }
      const password = content.replace(/\r?\n$/, "");
      if (password === "") throw new PasswordUnavailableError(`${file} is empty, but must hold a password`);
      return password;
    },
    forget: () => {},
  };
}

/** The field `password` of the newest version at a path below Vault's mount; kept until it is to be forgotten, so that Vault may be away. */
export function passwordFromVault(kv: VaultKv, path: string): PasswordSource {
  let known: Promise<string> | undefined;
  return {
    get(signal = new AbortController().signal) {
      if (known === undefined) {
        // For all who ask, so none of their signals ends it; Vault's client has a deadline of its own.
        const asked = readPassword(kv, path, new AbortController().signal);
        known = asked;
        asked.catch(() => {
          if (known === asked) known = undefined;
        });
      }
      return unlessAborted(known, signal);
    },
    forget() {
      known = undefined;
    },
  };
}

async function readPassword(kv: VaultKv, path: string, signal: AbortSignal): Promise<string> {
  let value: unknown;
  try {
    value = await kv.get(path, { signal });
  } catch (cause) {
    if (cause instanceof VaultError) throw new PasswordUnavailableError(`no password from ${path} in Vault`, { cause });
    throw cause;
  }
  const password: unknown = typeof value === "object" && value !== null && "password" in value ? value.password : "";
  if (typeof password === "string" && password !== "") return password;
  throw new PasswordUnavailableError(`${path} in Vault has no field "password", or it is no text`);
}
