// All figures of this service, one after the other: `npm run bench`. On a shared machine only the ratios mean something.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

for (const bench of ["start-up", "catalog-memory", "lines-of-code"]) {
  console.log(`\n${bench}`);
  const { status } = spawnSync(process.execPath, ["--conditions=source", join(import.meta.dirname, `${bench}.ts`)], {
    stdio: "inherit",
  });
  if (status !== 0) process.exitCode = 1;
}
