import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const FOLDER = new URL("../../migrations/", import.meta.url);
const BREAKPOINT = "--> statement-breakpoint";
const BREAKING = /^-- breaking: (.+)$/m;

/** One step of the schema, as drizzle-kit wrote it, perhaps edited by hand. */
export interface MigrationFile {
  /** E.g. `0001_mint-store`. */
  readonly tag: string;
  /** What the database knows it by: when it was made, in milliseconds. */
  readonly madeAt: number;
  readonly statements: readonly string[];
  /** SHA-256 of the file, in hex. */
  readonly hash: string;
  /**
   * Why releases that don't know this step can't run on its schema; undefined when they can. Written in the file as a line of its own:
   * `-- breaking: why`.
   */
  readonly breaking: string | undefined;
}

/** All steps that this release knows, in order. */
export function migrationFiles(): readonly MigrationFile[] {
  const journal = JSON.parse(readFileSync(new URL("meta/_journal.json", FOLDER), "utf8")) as {
    readonly entries: readonly { readonly tag: string; readonly when: number }[];
  };
  return journal.entries.map(({ tag, when }) => {
    const text = readFileSync(new URL(`${tag}.sql`, FOLDER), "utf8");
    return {
      tag,
      madeAt: when,
      statements: text.split(BREAKPOINT),
      hash: createHash("sha256").update(text).digest("hex"),
      breaking: BREAKING.exec(text)?.[1],
    };
  });
}
