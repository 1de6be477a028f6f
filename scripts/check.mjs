// The whole gate but the tests. `npm run check` runs every step and lists those that failed; `npm run check -- types lint`
// runs only these.
import { run, succeeds } from "./run.mjs";

/** @type {Record<string, [tool: string, ...args: string[]]>} */
const steps = {
  format: ["prettier", "--check", "--log-level", "warn", "."],
  lint: ["eslint", "--max-warnings", "0", "."],
  types: ["tsc", "-p", "."],
  directions: ["depcruise", "src", "client/src", "examples", "--config", ".dependency-cruiser.mjs"],
  size: ["node", "scripts/check-size.mjs"],
  generated: ["node", "scripts/generate.mjs", "--check"],
  contract: ["buf", "lint"],
  breaking: ["node", "scripts/check-breaking.mjs"],
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(steps, name));
if (unknown.length > 0) {
  console.error(`No such step: ${unknown.join(", ")}. There are ${Object.keys(steps).join(", ")}.`);
  process.exit(2);
}

// The contract's imports are not in git.
run("node", ["scripts/third-party-protos.mjs"]);

const failed = [];
for (const [name, [tool, ...args]] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`— ${name}`);
  if (!succeeds(tool, args)) failed.push(name);
}
if (failed.length > 0) {
  console.error(`Failed: ${failed.join(", ")}`);
  process.exitCode = 1;
}
