import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "@operator-management/contract/google/rpc/error_details_pb.js";
import { DrizzleQueryError } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { appliedMigration } from "../../src/db/schema-level.ts";
import { configHead } from "../../src/db/schema.ts";
import { parseTimestamptz, printTimestamptz } from "../../src/db/timestamptz-text.ts";
import { typedDatabaseError } from "../../src/rpc/database-unavailable.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { commit } from "./store.ts";
import { History } from "../../src/history/commit.ts";

/** Opening a database for the first time takes seconds of computing, and the machine may be busy. */
const OPENING_MS = 120_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "database-"));
});
afterAll(() => rm(folder, { recursive: true }));

test(
  "a database keeps its store id when it is opened again, and closing it twice does no harm",
  async () => {
    const first = await openEmbeddedDatabase(folder);
    const [minted] = await first.db.select().from(configHead);
    await first.close();
    await first.close();
    const second = await openEmbeddedDatabase(folder);
    expect(await second.db.select().from(configHead)).toEqual([minted]);
    await second.close();
  },
  OPENING_MS,
);

test(
  "a database that a newer release has migrated is opened, unless a migration was marked as breaking",
  async () => {
    const migrated = async (why: string | null) => {
      const database = await openEmbeddedDatabase(folder);
      const newer = { hash: "newer", createdAt: Date.now() * 2, breaking: why };
      await database.db.insert(appliedMigration).values(newer);
      await database.close();
    };
    await migrated(null);
    await migrated("the column is gone");
    await expect(openEmbeddedDatabase(folder)).rejects.toThrow("newer release");
  },
  OPENING_MS,
);

test(
  "a write to a closed database is DATABASE_UNAVAILABLE, with a time to come back",
  async () => {
    const other = await mkdtemp(join(tmpdir(), "database-"));
    const database = await openEmbeddedDatabase(other);
    await database.close();
    const history = new History({ db: database.db, onCommit: () => undefined });
    const error: unknown = await commit(history, []).catch((thrown: unknown) => thrown);
    expect(reasonOf(error)).toBe(ErrorReason.DATABASE_UNAVAILABLE);
    expect((error as ConnectError).findDetails(RetryInfoSchema)).toHaveLength(1);
    await rm(other, { recursive: true });
  },
  OPENING_MS,
);

describe("database errors", () => {
  const withCode = (code: string) => Object.assign(new Error(`failed with ${code}`), { code });
  const failed = (cause: Error) => new DrizzleQueryError("insert …", ["parameter"], cause);
  const outcomeOf = (error: unknown) =>
    error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0]?.metadata["outcome"] : undefined;

  test.each([
    "55P03",
    "57014",
    "25006",
    "28P01",
    "3D000",
    "42501",
    "53300",
    "40001",
    "57P01",
    "08006",
    "ECONNREFUSED",
    "EPIPE",
  ])("%s is DATABASE_UNAVAILABLE", (code) => {
    expect(reasonOf(typedDatabaseError(failed(withCode(code))))).toBe(ErrorReason.DATABASE_UNAVAILABLE);
  });

  test.each(["57P01", "08006", "ECONNRESET"])("%s at COMMIT leaves the outcome unknown", (code) => {
    expect(outcomeOf(typedDatabaseError(withCode(code), { committing: true }))).toBe("unknown");
    expect(outcomeOf(typedDatabaseError(withCode(code)))).toBeUndefined();
  });

  test("silence of any other kind at COMMIT leaves the outcome unknown, a refusal doesn't", () => {
    expect(outcomeOf(typedDatabaseError(new Error("socket hang up"), { committing: true }))).toBe("unknown");
    expect(outcomeOf(typedDatabaseError(withCode("40001"), { committing: true }))).toBeUndefined();
  });

  test("a broken query is a defect, and its parameters don't reach the log", () => {
    const error = typedDatabaseError(failed(withCode("42703")));
    expect(reasonOf(error)).toBeUndefined();
    expect(error).toMatchObject({ message: "database error 42703: failed with 42703" });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("parameter");
  });

  test("an error that is none of the database's stays as it is", () => {
    const error = new Error("a rule of ours");
    expect(typedDatabaseError(error)).toBe(error);
  });
});

describe("times in the database", () => {
  test.each([
    ["2026-11-22 16:14:04.123456+00", 1_795_364_044n, 123_456_000],
    ["2026-11-22 16:14:04+00", 1_795_364_044n, 0],
    ["2026-11-22 21:59:04.5+05:45", 1_795_364_044n, 500_000_000],
    ["2026-11-22 12:44:04-03:30", 1_795_364_044n, 0],
    ["1969-12-31 23:59:59.9+00", -1n, 900_000_000],
    ["0050-01-01 00:00:00+00", -60_589_296_000n, 0],
    ["infinity", 253_402_300_799n, 0],
    ["-infinity", -62_135_596_800n, 0],
    ["0044-03-15 12:00:00+00 BC", -62_135_596_800n, 0],
  ])("%s is read to the microsecond", (text, seconds, nanos) => {
    expect(parseTimestamptz(text)).toEqual(create(TimestampSchema, { seconds, nanos }));
  });

  test("are written so that they are read back", () => {
    const time = create(TimestampSchema, { seconds: 1_795_364_044n, nanos: 7_000 });
    expect(printTimestamptz(time)).toBe("2026-11-22T16:14:04.000007Z");
  });
});
