// Compares the contract with an earlier one: it must be compatible with the last release; against the base branch, or
// while there is no release yet, breaks are only reported (each deliberate one has its line in the changelog).
// Images are compared, because the imports in third_party/proto are not in git and so not in any earlier commit.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { read, root, run, succeeds } from "./run.mjs";

run("node", ["scripts/third-party-protos.mjs"]);

const release = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*");
const base = baseCommit();
if (release !== undefined && compatibleWith(release) === false) {
  console.error(`The contract breaks clients of release ${release}.`);
  process.exitCode = 1;
}
if (base === undefined) {
  console.log("No earlier commit to compare the contract with.");
} else if (compatibleWith(base) === false) {
  console.log(`The contract breaks clients of ${base}: reported only, as that is no release.`);
}

/** @returns {string | undefined} where this branch left main; on main itself the commit before */
function baseCommit() {
  const head = git("rev-parse", "HEAD");
  const fork = git("merge-base", "HEAD", "origin/main");
  return fork !== undefined && fork !== head ? fork : git("rev-parse", "--verify", "--quiet", "HEAD~");
}

/**
 * @param {string} commit
 * @returns {boolean | undefined} undefined when that commit has no contract that compiles
 */
function compatibleWith(commit) {
  const folder = mkdtempSync(join(tmpdir(), "contract-"));
  try {
    if (!checkOut(commit, folder)) return undefined;
    const image = join(folder, "image.binpb");
    if (!succeeds("buf", ["build", join(folder, "proto"), "-o", image])) {
      console.log(`The contract of ${commit} does not compile: not compared.`);
      return undefined;
    }
    return succeeds("buf", ["breaking", "proto", "--against", image, "--exclude-imports"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Writes the commit's proto folder beside today's imports.
 * @param {string} commit
 * @param {string} folder
 * @returns {boolean} whether the commit has such a folder
 */
function checkOut(commit, folder) {
  const paths = git("ls-tree", "-r", "--name-only", commit, "proto")?.split("\n").filter(Boolean) ?? [];
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), read("git", ["show", `${commit}:./${path}`]));
  }
  cpSync(join(root, "third_party"), join(folder, "third_party"), { recursive: true });
  cpSync(join(root, "buf.yaml"), join(folder, "buf.yaml"));
  return paths.length > 0;
}

/**
 * @param {string[]} args
 * @returns {string | undefined} undefined when git has no answer: no such tag, branch or commit
 */
function git(...args) {
  try {
    return read("git", args).trim();
  } catch {
    return undefined;
  }
}
