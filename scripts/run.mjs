// Runs the tools the lock file pins, from the repository's root.
import { execFileSync, spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";

export const root = join(import.meta.dirname, "..");

/** The environment of every tool: node_modules/.bin comes first, so that `node` is the pinned one too. */
const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}` };

/**
 * Runs a tool and shows its output.
 * @param {string} tool
 * @param {string[]} args
 * @returns {boolean} whether it succeeded
 */
export function succeeds(tool, args) {
  const { error, status } = spawnSync(tool, args, { cwd: root, env, stdio: "inherit" });
  if (error) throw error;
  return status === 0;
}

/**
 * Runs a tool and shows its output; ends this process when it fails, as its output has said why.
 * @param {string} tool
 * @param {string[]} args
 */
export function run(tool, args) {
  if (!succeeds(tool, args)) process.exit(1);
}

/**
 * Runs a tool and returns what it prints. Throws when it fails.
 * @param {string} tool
 * @param {string[]} args
 * @returns {string}
 */
export function read(tool, args) {
  return execFileSync(tool, args, { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}
