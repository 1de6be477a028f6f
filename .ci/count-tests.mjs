// Prints "N passed, N failed" from the report of vitest's JSON reporter. A test file that could not even be loaded, and a
// missing report, count as one failure each.
// Usage: node count-tests.mjs report.json
import { existsSync, readFileSync } from "node:fs";

/** @typedef {{ status: string, assertionResults: { status: string }[] }} TestFile */

const path = process.argv[2];
if (path === undefined || !existsSync(path)) {
  console.log("0 passed, 1 failed");
} else {
  /** @type {{ numPassedTests: number, numFailedTests: number, testResults: TestFile[] }} */
  const report = JSON.parse(readFileSync(path, "utf8"));
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  console.log(`${report.numPassedTests} passed, ${report.numFailedTests + broken.length} failed`);
}
