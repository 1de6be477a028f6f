// Writes the generated parts of gen/: JavaScript with declarations, our .proto files, and a descriptor set of everything
// the service serves.
// Usage: node scripts/generate.mjs [the folder that gets gen/, default the repository]
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { root, run } from "./run.mjs";

const base = resolve(process.argv[2] ?? root);
const gen = join(base, "gen");

run("node", ["scripts/third-party-protos.mjs"]);
for (const part of ["ops", "google", "grpc", "proto"]) rmSync(join(gen, part), { recursive: true, force: true });
mkdirSync(gen, { recursive: true });
run("buf", ["generate", "--output", base]);
run("buf", ["build", "--as-file-descriptor-set", "--exclude-source-info", "--output", join(gen, "descriptor.binpb")]);
cpSync(join(root, "proto"), join(gen, "proto"), { recursive: true });
