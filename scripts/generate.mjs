// Writes the generated parts of gen/: JavaScript with declarations, our .proto files, and a descriptor set of everything
// the service serves. With --check it writes to a temporary folder instead, and fails when gen/ differs from that.
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run, succeeds } from "./run.mjs";

const parts = ["ops", "google", "grpc", "proto", "descriptor.binpb"];

if (process.argv[2] === "--check") check();
else generate(root);

/** @param {string} base the folder that gets gen/ */
function generate(base) {
  const gen = join(base, "gen");
  run("node", ["scripts/third-party-protos.mjs"]);
  // What doesn't compile fails here, before anything is removed.
  run("buf", ["build"]);
  for (const part of parts) rmSync(join(gen, part), { recursive: true, force: true });
  mkdirSync(gen, { recursive: true });
  run("buf", ["generate", "--output", base]);
  run("buf", ["build", "--as-file-descriptor-set", "--exclude-source-info", "-o", join(gen, "descriptor.binpb")]);
  cpSync(join(root, "proto"), join(gen, "proto"), { recursive: true });
}

function check() {
  const base = mkdtempSync(join(tmpdir(), "generated-"));
  process.on("exit", () => rmSync(base, { recursive: true, force: true }));
  generate(base);
  const differing = parts.filter(
    (part) =>
      !succeeds("git", ["diff", "--no-index", "--stat", "--exit-code", join("gen", part), join(base, "gen", part)]),
  );
  if (differing.length === 0) return;
  console.error(`gen/ is out of date (${differing.join(", ")}): run npm run generate and commit what it changes.`);
  process.exitCode = 1;
}
