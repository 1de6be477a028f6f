import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { and, eq, inArray, isNotNull, isNull, lt, or } from "drizzle-orm";
import type { Logger } from "pino";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { Database } from "../db/db.ts";
import { credential } from "../db/schema.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { stateText, type CredentialRow } from "./queries.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
/** Far longer than any call lasts: whoever staged it is gone. */
const STAGED_MS = HOUR_MS;
/** At least the backup window: a restored database may refer to what has been replaced since. */
const REPLACED_GRACE_MS = 7 * DAY_MS;
/** How long a deleted secret can be recovered. */
const DELETED_MS = 30 * DAY_MS;

const INTERVAL_MS = 60_000;
/** Secrets per sweep: a large backlog must not keep the secret store from others. */
const BATCH = 100;

const replaced = [CredentialState.SUPERSEDED, CredentialState.REJECTED, CredentialState.CANCELLED].map(stateText);

/** What one sweep did. */
export interface SweepResult {
  readonly abandoned: number;
  readonly deleted: number;
  readonly destroyed: number;
}

/** What the sweep needs. */
export interface SweepDeps {
  readonly db: Database;
  readonly secrets: Pick<SecretStore, "delete" | "destroy">;
  /** Ids of credentials that nodes have bound with: never deleted, whatever their state. Where it can't be told, nothing is. */
  readonly credentialsInUse: () => Promise<ReadonlySet<string>>;
  readonly now: () => Date;
}

/**
 * Removes secrets that nobody may use any more. A secret is touched only after the state that forbids its use is committed, so a crash
 * at any point leaves work for the next sweep and never a credential in use without its secret. Two sweeps at once, of two processes, do
 * the same twice.
 */
export async function sweepCredentials(deps: SweepDeps, signal: AbortSignal): Promise<SweepResult> {
  const { db, secrets, now } = deps;
  const ago = (ms: number): Timestamp => timestampFromDate(new Date(now().getTime() - ms));
  const abandoned = await abandonStaged(db, ago(STAGED_MS), timestampFromDate(now()));

  const deletable = and(
    isNull(credential.secretDeleteTime),
    or(
      eq(credential.state, stateText(CredentialState.ABANDONED)),
      and(inArray(credential.state, replaced), lt(credential.stateTime, ago(REPLACED_GRACE_MS))),
    ),
  );
  const deleted = await forEachDue(deps, deletable, async (row) => {
    await secrets.delete(row.path, signal);
    await db
      .update(credential)
      .set({ secretDeleteTime: timestampFromDate(now()) })
      .where(eq(credential.id, row.id));
  });

  const destroyable = and(
    isNotNull(credential.secretDeleteTime),
    lt(credential.secretDeleteTime, ago(DELETED_MS)),
    isNull(credential.secretDestroyTime),
  );
  const destroyed = await forEachDue(deps, destroyable, async (row) => {
    await secrets.destroy(row.path, signal);
    await db
      .update(credential)
      .set({ secretDestroyTime: timestampFromDate(now()) })
      .where(eq(credential.id, row.id));
  });
  return { abandoned, deleted, destroyed };
}

/** One statement: a version that is being activated right now is either still STAGED or already ACTIVE to it. */
async function abandonStaged(db: Database, stagedBefore: Timestamp, now: Timestamp): Promise<number> {
  const rows = await db
    .update(credential)
    .set({ state: stateText(CredentialState.ABANDONED), stateTime: now })
    .where(and(eq(credential.state, stateText(CredentialState.STAGED)), lt(credential.createTime, stagedBefore)))
    .returning({ id: credential.id });
  return rows.length;
}

async function forEachDue(
  { db, credentialsInUse }: SweepDeps,
  due: ReturnType<typeof and>,
  work: (row: Pick<CredentialRow, "id" | "path">) => Promise<void>,
): Promise<number> {
  const { id, path, stateTime } = credential;
  const rows = await db.select({ id, path }).from(credential).where(due).orderBy(stateTime);
  if (rows.length === 0) return 0;
  const inUse = await credentialsInUse();
  const free = rows.filter((row) => !inUse.has(row.id)).slice(0, BATCH);
  const failures: unknown[] = [];
  for (const row of free) {
    // One path that can't be removed must not keep the others.
    await work(row).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
  return free.length;
}

/** Sweeps every minute until it is closed. A sweep that fails is logged and tried again with the next. */
export class CredentialSweep {
  readonly #deps: SweepDeps & { readonly logger: Pick<Logger, "info" | "warn"> };
  readonly #stopping = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;

  constructor(deps: SweepDeps & { readonly logger: Pick<Logger, "info" | "warn">; readonly intervalMs?: number }) {
    this.#deps = deps;
    this.#timer = setInterval(() => this.#start(), deps.intervalMs ?? INTERVAL_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#sweep().finally(() => (this.#running = undefined));
  }

  async #sweep(): Promise<void> {
    try {
      const result = await sweepCredentials(this.#deps, this.#stopping.signal);
      const { abandoned, deleted, destroyed } = result;
      if (abandoned + deleted + destroyed > 0)
        this.#deps.logger.info(result, "credentials that nobody may use: secrets removed");
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#deps.logger.warn({ err: typedDatabaseError(error) }, "the sweep of credentials failed");
    }
  }
}
