import { expect, test } from "vitest";
import { migrationFiles } from "../../src/db/migration-files.ts";

/** What a release that is still running doesn't survive, or not always; the first three migrations came before any release. */
const CONTRACTS =
  /\b(drop\s+(table|column|constraint)|rename\s+(to|column)|set\s+not\s+null|alter\s+column\s+\S+\s+(set\s+data\s+)?type)\b/i;
const BEFORE_ANY_RELEASE = 3;

test.each(migrationFiles().slice(BEFORE_ANY_RELEASE))(
  "$tag only adds, or says why older releases can't run any more",
  ({ statements, breaking }) => {
    const contracting = statements.filter((statement) => CONTRACTS.test(statement));
    if (breaking === undefined) expect(contracting).toEqual([]);
  },
);

test("migrations are in the order in which they were made", () => {
  const times = migrationFiles().map(({ madeAt }) => madeAt);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(new Set(times).size).toBe(times.length);
});
