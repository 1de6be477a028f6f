import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Position } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorKind, OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { sql } from "drizzle-orm";
import type { OpenDatabase } from "../../../src/db/db.ts";
import { configHead } from "../../../src/db/schema.ts";
import { composeRevision, type OperatorChange } from "../../../src/history/compose-revision.ts";
import { findOperator } from "../../../src/history/find-operator.ts";
import { genesis } from "../../../src/history/fingerprint.ts";
import { lockHead } from "../../../src/history/head.ts";
import { writeRevision } from "../../../src/history/write-revision.ts";
import { openPreparedDatabase } from "../../harness/prepared-postgres.ts";

export type OperatorInit = MessageInitShape<typeof OperatorSchema>;

/** One operator's part of a test's revision. */
export type Edit =
  | { readonly put: string; readonly with?: OperatorInit }
  | { readonly delete: string }
  | { readonly undelete: string }
  | { readonly purge: string };

/** A real database with the service's own writer, without handlers and their rules. */
export class TestStore {
  readonly database: OpenDatabase;

  static async open(): Promise<TestStore> {
    return new TestStore(await openPreparedDatabase());
  }

  constructor(database: OpenDatabase) {
    this.database = database;
  }

  /** Empties the store and gives it a new id. */
  async reset(): Promise<void> {
    await this.#beginAgain(new Uint8Array(Buffer.from(randomUUID().replaceAll("-", ""), "hex")));
  }

  /** Loses every commit, as a failover to a standby that had none of them. */
  async loseHistory(): Promise<void> {
    await this.#beginAgain((await this.head()).store);
  }

  async #beginAgain(storeId: Uint8Array): Promise<void> {
    await this.database.db.transaction(async (tx) => {
      await tx.execute(sql`truncate operator, config_change, request_log, credential`);
      await tx.update(configHead).set({ storeId, revision: 0n, fingerprint: genesis(storeId) });
    });
  }

  /** Commits one revision, as the service does. */
  async commit(...edits: readonly Edit[]): Promise<Position> {
    return this.database.db.transaction(async (tx) => {
      const { position, now } = await lockHead(tx);
      const changes: OperatorChange[] = [];
      for (const edit of edits) changes.push(changeOf(edit, await findOperator(tx, idOf(edit)), now));
      const actor = create(ActorSchema, { principal: "test" });
      const revision = composeRevision(position, changes, { actor, reason: "", commitTime: now });
      await writeRevision(tx, revision, now);
      return revision.position;
    });
  }

  async head(): Promise<Position> {
    const [head] = await this.database.db
      .select({ store: configHead.storeId, revision: configHead.revision, fingerprint: configHead.fingerprint })
      .from(configHead);
    if (head === undefined) throw new Error("no head");
    return head;
  }

  async close(): Promise<void> {
    await this.database.close();
  }
}

function idOf(edit: Edit): string {
  if ("put" in edit) return edit.put;
  if ("delete" in edit) return edit.delete;
  return "undelete" in edit ? edit.undelete : edit.purge;
}

function changeOf(edit: Edit, before: Operator | undefined, now: NonNullable<Operator["updateTime"]>): OperatorChange {
  if ("put" in edit) {
    const after = create(OperatorSchema, {
      kind: OperatorKind.MNO,
      adminState: AdminState.ENABLED,
      displayName: edit.put.toUpperCase(),
      ...edit.with,
      id: edit.put,
      uid: before?.uid ?? randomUUID(),
      createTime: before?.createTime ?? now,
      updateTime: now,
    });
    return { kind: before === undefined ? ChangeKind.CREATED : ChangeKind.UPDATED, before, after, diff: [] };
  }
  if (before === undefined) throw new Error(`no operator ${idOf(edit)}`);
  const purgeTime = timestampFromDate(new Date("2099-01-01T00:00:00Z"));
  if ("delete" in edit) {
    const after = create(OperatorSchema, { ...before, updateTime: now, deleteTime: now, purgeTime });
    return { kind: ChangeKind.DELETED, before, after, diff: [] };
  }
  if ("purge" in edit) return { kind: ChangeKind.PURGED, before, after: before, diff: [] };
  const { deleteTime: _deleted, purgeTime: _purge, ...live } = before;
  return { kind: ChangeKind.UNDELETED, before, after: create(OperatorSchema, { ...live, updateTime: now }), diff: [] };
}
