// Runs the tools the lock file pins, from the repository's root.
import { execFileSync } from "node:child_process";
import { delimiter, join } from "node:path";

export const root = join(import.meta.dirname, "..");

/** The environment of every tool: node_modules/.bin first, so that `node` is the pinned one too. */
const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}` };

/**
 * Runs a tool and shows its output. Throws when it fails.
 * @param {string} tool
 * @param {string[]} args
 */
export function run(tool, args) {
  execFileSync(tool, args, { cwd: root, env, stdio: "inherit" });
}

/**
 * Runs a tool and returns what it prints, without the line break at the end. Throws when it fails.
 * @param {string} tool
 * @param {string[]} args
 * @returns {string}
 */
export function read(tool, args) {
  return execFileSync(tool, args, { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trimEnd();
}
