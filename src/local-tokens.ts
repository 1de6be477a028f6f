import { readFile } from "node:fs/promises";
import { RoleSchema, type Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import type { LocalToken } from "./rpc/local-identity.ts";
import { StartError } from "./start-error.ts";

/**
 * The tokens of `OPS_LOCAL_TOKENS_FILE`: a JSON object, role (`viewer`, `duty`, `editor`, `credential-manager`, `admin`) to token of 16 or more printable
 * characters. The principal is `local-` and the role.
 * @throws StartError that says what is wrong with the file; it never quotes a token
 */
export async function readLocalTokens(file: string): Promise<LocalToken[]> {
  const fail = (problem: string, cause?: unknown): never => {
    throw new StartError(`OPS_LOCAL_TOKENS_FILE (${file}) ${problem}`, { cause });
  };
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) =>
    fail(`can't be read: ${error.code ?? error.message}`),
  );
  let tokens: unknown;
  try {
    tokens = JSON.parse(text);
  } catch {
    return fail("is no JSON"); // JSON.parse quotes the text, and the text is secret
  }
  if (typeof tokens !== "object" || tokens === null || Array.isArray(tokens)) return fail("is no JSON object");
  return Object.entries(tokens).map(([name, token]: [string, unknown]) => {
    const role = roles.get(name);
    if (role === undefined) return fail(`names the role "${name}"; there are ${[...roles.keys()].join(", ")}`);
    if (typeof token !== "string" || !/^[\x21-\x7e]{16,}$/.test(token)) {
      return fail(`has no usable token for ${name}: 16 or more printable ASCII characters, no spaces`);
    }
    return { principal: `local-${name}`, role, token };
  });
}

const roles: ReadonlyMap<string, Role> = new Map(
  RoleSchema.values
    .filter(({ number }) => number > 0)
    .map(({ name, number }) => [
      name
        .replace(/^ROLE_/, "")
        .toLowerCase()
        .replaceAll("_", "-"),
      number,
    ]),
);
