// Prints "N passed, N failed" from reports of vitest's JSON reporter, the first of the whole run, the second (if any) of the files that failed in it,
// run once more by themselves: these count instead. A test file that could not even be loaded, and a missing report, count as one failure each.
// What failed is said again here, with how it began: the runs' own output is long.
// With --failed: prints the first report's failed files instead, one a line. Exits 1 while something fails.
// Usage: node count-tests.mjs [--failed] report.json [second.json]
import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

/** @typedef {{ name: string, status: string, message: string, assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }} TestFile */

/** Of what a test failed with. */
const LINES_EACH = 25;

const args = process.argv.slice(2);
const onlyFailed = args[0] === "--failed" && args.shift() !== undefined;
const [first, second] = args.map((path) => read(path));

if (first === undefined) {
  if (!onlyFailed) console.log("0 passed, 1 failed");
  process.exitCode = 1;
} else if (onlyFailed) {
  for (const file of first.filter(hasFailed)) console.log(relative(process.cwd(), file.name));
} else {
  const again = new Map(second?.map((file) => [file.name, file]));
  const files = first.map((file) => again.get(file.name) ?? file);
  for (const file of first) {
    if (hasFailed(file)) tell(again.has(file.name) ? "Failed at first, then run once more" : "Failed", file);
  }
  for (const file of again.values()) {
    if (hasFailed(file)) tell("Failed again", file);
  }
  const count = (/** @type {string} */ wanted) =>
    files.reduce(
      (sum, { assertionResults }) => sum + assertionResults.filter(({ status }) => status === wanted).length,
      0,
    );
  const notLoaded = files.filter(
    (file) => hasFailed(file) && !file.assertionResults.some(({ status }) => status === "failed"),
  );
  const failures = count("failed") + notLoaded.length;
  console.log(`${count("passed")} passed, ${failures} failed`);
  if (failures > 0) process.exitCode = 1;
}

function tell(/** @type {string} */ what, /** @type {TestFile} */ file) {
  const failed = file.assertionResults.filter(({ status }) => status === "failed");
  const texts = failed.map(({ fullName, failureMessages }) => `${fullName}\n${failureMessages.join("\n")}`);
  console.log(`${what}: ${relative(process.cwd(), file.name)}`);
  for (const text of texts.length > 0 ? texts : [file.message]) {
    const lines = stripVTControlCharacters(text).split("\n");
    console.log(
      lines
        .slice(0, LINES_EACH)
        .map((line) => `  ${line}`)
        .join("\n"),
    );
  }
}

/** @returns {TestFile[] | undefined} */
function read(/** @type {string} */ path) {
  if (!existsSync(path)) return undefined;
  /** @type {{ testResults: TestFile[] }} */
  const report = JSON.parse(readFileSync(path, "utf8"));
  return report.testResults;
}

function hasFailed(/** @type {TestFile} */ { status, assertionResults }) {
  return status === "failed" || assertionResults.some((test) => test.status === "failed");
}
