// Lines of hand-written source by folder, blank ones and comments included: `node bench/lines-of-code.ts`.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const files = execFileSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" }).split("\0");
const source = /\.(ts|mts|mjs|proto)$/;
const byFolder = new Map<string, { files: number; lines: number }>();
for (const file of files) {
  if (!source.test(file) || file.startsWith("gen/")) continue;
  const [top = "", second = "", third] = file.split("/");
  const folder = top === "src" && third === undefined ? "src/*.ts" : top === "src" ? `src/${second}` : top;
  const isTest = /(^|\/)test\//.test(file) ? " (tests)" : "";
  const name = top === "test" ? "test" : `${folder}${isTest}`;
  const sum = byFolder.get(name) ?? { files: 0, lines: 0 };
  sum.files++;
  sum.lines += readFileSync(join(ROOT, file), "utf8").split("\n").length - 1;
  byFolder.set(name, sum);
}
for (const [folder, { files: count, lines }] of [...byFolder].sort(([a], [b]) => (a < b ? -1 : 1))) {
  console.log(`${folder.padEnd(24)} ${String(lines).padStart(6)} lines in ${count} files`);
}
