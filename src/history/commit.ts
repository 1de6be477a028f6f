import { fromBinary, toBinary, type DescMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { encodeToken, type Position } from "@operator-management/client";
import { sqlState } from "../db/database-error.ts";
import type { Database, Transaction } from "../db/db.ts";
import type { Caller } from "../rpc/caller.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { auditMutation } from "./audit-mutation.ts";
import { composeRevision, type Circumstances, type OperatorChange } from "./compose-revision.ts";
import { lockHead, readHead } from "./head.ts";
import { openRequestLog, purgeReplies } from "./request-log.ts";
import { writeRevision } from "./write-revision.ts";

const PURGE_INTERVAL_SECONDS = 60n;
/** read_only_sql_transaction: what a standby says. */
const READ_ONLY = "25006";

/** A mutation as its caller asked for it. */
export interface ChangeRequest {
  readonly caller: Caller;
  /** The RPC's name, e.g. `UpdateOperator`. */
  readonly method: string;
  readonly reason: string;
  /** A UUID, or empty: then a repeated call is made again. Ignored with validateOnly. */
  readonly requestId: string;
  /** The request message; its redacted fields don't count when requests are compared. */
  readonly message: Message;
  readonly validateOnly: boolean;
  /** Ends the call: nothing is committed once it is aborted. */
  readonly signal?: AbortSignal;
}

/** What a decision may read: all inside one transaction. */
export interface Snapshot {
  readonly tx: Transaction;
  readonly position: Position;
  /** The commit time that this revision will have. */
  readonly now: Timestamp;
}

/** What is to be done. No changes: no revision, but the reply is remembered all the same. */
export interface Decision<R> {
  readonly changes: readonly OperatorChange[];
  /** Extra writes in the same transaction, e.g. credential rows; `revision` is the new one, or the current one without changes. Never runs with validateOnly. */
  readonly alsoWrite?: (tx: Transaction, revision: bigint) => Promise<void>;
  /** The reply, given the token of the result; the token is empty with validateOnly. */
  readonly reply: (token: string) => R;
}

/** The only writer of configuration: every change of operators goes through `change`. */
export class History {
  readonly #db: Database;
  readonly #onCommit: () => void;
  readonly #onStandby: () => void;
  /** Commit time (s) of the last purge of the request log that left nothing. */
  #purgedAt = 0n;

  /**
   * `onCommit` is called after each commit that made a revision, before its reply: to wake the tail of this process. `onStandby`: the
   * server refuses writes, as it isn't the primary (any more).
   */
  constructor(deps: { readonly db: Database; readonly onCommit: () => void; readonly onStandby?: () => void }) {
    this.#db = deps.db;
    this.#onCommit = deps.onCommit;
    this.#onStandby = deps.onStandby ?? (() => undefined);
  }

  /**
   * Runs `decide` on the newest state with all other changes locked out, and commits what it decides as one revision. The same
   * request id again returns the first reply. Nothing slow or remote may happen inside `decide` or `alsoWrite`.
   *
   * Errors: whatever `decide` throws, REQUEST_ID_REUSED, TOO_LARGE, DATABASE_UNAVAILABLE (with `outcome: unknown` when the database
   * fell silent at COMMIT), the signal's reason.
   */
  async change<D extends DescMessage>(
    request: ChangeRequest,
    reply: D,
    decide: (snapshot: Snapshot) => Promise<Decision<MessageShape<D>>>,
  ): Promise<MessageShape<D>> {
    request.signal?.throwIfAborted();
    if (request.validateOnly) return this.#preview(request, decide);
    let committing = false;
    try {
      const outcome = await this.#db.transaction(async (tx) => {
        const made = await this.#makeChange(tx, request, reply, decide);
        request.signal?.throwIfAborted();
        committing = true;
        return made;
      });
      if (outcome.newRevision) this.#onCommit();
      return outcome.reply;
    } catch (error) {
      if (sqlState(error) === READ_ONLY) this.#onStandby();
      throw typedDatabaseError(error, { committing });
    }
  }

  async #makeChange<D extends DescMessage>(
    tx: Transaction,
    request: ChangeRequest,
    schema: D,
    decide: (snapshot: Snapshot) => Promise<Decision<MessageShape<D>>>,
  ): Promise<{ reply: MessageShape<D>; newRevision: boolean }> {
    const { position: previous, now } = await lockHead(tx);
    request.signal?.throwIfAborted(); // it may have waited long for its turn
    const log = openRequestLog(tx, request, now);
    const known = await log?.findReply();
    if (known !== undefined) return { reply: fromBinary(schema, known), newRevision: false };

    const { changes, alsoWrite, reply: replyWith } = await decide({ tx, position: previous, now });
    const revision = changes.length > 0 ? composeRevision(previous, changes, circumstancesOf(request, now)) : undefined;
    if (revision !== undefined) await writeRevision(tx, revision, now);
    const position = revision?.position ?? previous;
    await alsoWrite?.(tx, position.revision);

    const reply = replyWith(encodeToken(position));
    await log?.write(toBinary(schema, reply), position.revision);
    await this.#purgeReplies(tx, now);
    await auditMutation(tx, request, revision, now);
    return { reply, newRevision: revision !== undefined };
  }

  /** The same decision, checked against the same limits, in a snapshot that can't write and locks nobody out. */
  async #preview<R>(request: ChangeRequest, decide: (snapshot: Snapshot) => Promise<Decision<R>>): Promise<R> {
    const snapshot = { isolationLevel: "repeatable read", accessMode: "read only" } as const;
    try {
      return await this.#db.transaction(async (tx) => {
        const { position, now } = await readHead(tx);
        const { changes, reply } = await decide({ tx, position, now });
        composeRevision(position, changes, circumstancesOf(request, now));
        return reply("");
      }, snapshot);
    } catch (error) {
      throw typedDatabaseError(error);
    }
  }

  async #purgeReplies(tx: Transaction, now: Timestamp): Promise<void> {
    if (now.seconds - this.#purgedAt < PURGE_INTERVAL_SECONDS) return;
    const more = await purgeReplies(tx, now);
    if (!more) this.#purgedAt = now.seconds;
  }
}

function circumstancesOf({ caller, reason }: ChangeRequest, commitTime: Timestamp): Circumstances {
  return { actor: caller.actor, reason, commitTime };
}
