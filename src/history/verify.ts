import { setImmediate } from "node:timers/promises";
import type { Position } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { VerifyHistoryResponse_Problem } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { configHead } from "../db/schema.ts";
import { opsError } from "../rpc/errors.ts";
import { Findings } from "./findings.ts";
import { CHAIN } from "./fingerprint.ts";
import { verifyChain } from "./verify-chain.ts";
import { verifyOperators } from "./verify-operators.ts";

/** What a verification found. */
export interface Verification {
  readonly problems: readonly VerifyHistoryResponse_Problem[];
  readonly revisions: number;
  readonly operators: number;
  /** The head that was verified; undefined when its row is gone. */
  readonly position: Position | undefined;
}

/**
 * Recomputes the whole chain from the stored bytes and derives every other row again. Reads in small batches, each one statement, so
 * that writers go on meanwhile: history is checked up to the head of the beginning, which no later commit may change; current
 * rows are compared with the history that the same statement sees. Damage is reported, never thrown.
 * @throws DATABASE_UNAVAILABLE when the server was restarted or replaced meanwhile, and what was found may be due to that
 */
export async function verifyHistory(db: Database, signal?: AbortSignal): Promise<Verification> {
  const findings = new Findings();
  const pause = async (): Promise<void> => {
    await setImmediate(); // PGlite computes in this process: others get their turn between two batches
    signal?.throwIfAborted();
  };
  const server = await serverOf(db);
  const [head] = await db.select().from(configHead);
  if (head === undefined) findings.add({ table: "config_head", text: "the row is missing" });
  if (head !== undefined && head.chain !== CHAIN) {
    findings.add({ table: "config_head", text: `chain: ${head.chain} is no rule that this version knows` });
  }
  const history = await verifyChain(db, head, findings, pause);
  const operators = await verifyOperators(db, history.uids, findings, pause);
  const problems = findings.list();
  // Another server may have another history: to half of each, neither fits.
  if (problems.length > 0 && (await serverOf(db)) !== server) throw serverChanged();
  const position = head && { store: head.storeId, revision: head.revision, fingerprint: head.fingerprint };
  return { problems, revisions: history.revisions, operators, position };
}

/** Tells one run of a database server from another. */
async function serverOf(db: Database): Promise<string> {
  const [row] = await db
    .select({ started: sql<string>`pg_postmaster_start_time()::text` })
    .from(sql`(values (1)) as one`);
  return row?.started ?? "";
}

function serverChanged(): Error {
  return opsError(
    ErrorReason.DATABASE_UNAVAILABLE,
    "the database server was restarted or replaced while its history was verified: try again",
    { retryAfterMs: 1_000 },
  );
}
