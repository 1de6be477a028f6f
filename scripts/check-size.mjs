// A source file above 250 lines must say why, in a line "// Longer than 250 lines because …".
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { read, root } from "./run.mjs";

const limit = 250;
const source = /\.(ts|mts|js|mjs|cjs|proto|sh)$/;
const generated = /^(gen|migrations)\//;
const reason = new RegExp(`^\\s*(//|#|\\*) Longer than ${limit} lines because \\S`, "m");

const files = read("git", ["ls-files", "-z", "--deduplicate", "--cached", "--others", "--exclude-standard"]).split(
  "\0",
);
for (const file of files) {
  if (!source.test(file) || generated.test(file)) continue;
  const lines = linesOf(file);
  if (lines === undefined || lines.length <= limit || reason.test(lines.join("\n"))) continue;
  console.error(`${file}: ${lines.length} lines. Split it, or say why not: "// Longer than ${limit} lines because …"`);
  process.exitCode = 1;
}

/**
 * @param {string} file
 * @returns {string[] | undefined} undefined for a file that is deleted but still in git's index
 */
function linesOf(file) {
  try {
    return readFileSync(join(root, file), "utf8").replace(/\n$/, "").split("\n");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
