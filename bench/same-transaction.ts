import { randomBytes } from "node:crypto";
import type { PostgresNode } from "../test/cluster/postgres.ts";
import { operatorId } from "./sample-operator.ts";

/** One statement; what its row holds is known to the later ones as `:prefix_column`. */
export interface Statement {
  readonly sql: string;
  readonly keepAs?: string;
}

/** The number of the operator to be changed, for the statements. */
export const OPERATOR = ":number";

/**
 * The statements between BEGIN and COMMIT of one UpdateOperator, as src/history sends them, in their order. Bytes have the sizes that the service's own
 * rows have; their content is noise. Written for pgbench; no literal holds a colon, which it would take for a variable.
 * @param primary where the service has made at least one UpdateOperator, whose rows are measured
 */
export async function sameTransaction(primary: PostgresNode): Promise<readonly Statement[]> {
  const [sizes] = await primary.query<Sizes>(SIZES, [operatorId(0)]);
  if (sizes === undefined) throw new Error("the service has made no UpdateOperator yet");
  const { change, record, reply, coverage, detail } = sizes;
  const id = `('operator-' || ${OPERATOR})`;
  const next = "(:head_revision::bigint + 1)";
  const request = `('00000000-0000-4000-8000-' || lpad(${next}::text, 12, '0'))::uuid`;
  const key = "principal, method, request_id";
  return [
    {
      sql: "select store_id, revision, fingerprint, greatest(commit_time, clock_timestamp()) as now from config_head for update",
      keepAs: "head",
    },
    {
      sql: `select request_hash, reply from request_log where principal = 'local-editor' and method = 'UpdateOperator'
        and request_id = ${request} and create_time > :head_now::timestamptz - interval '1 day'`,
    },
    { sql: `select * from operator where id = ${id}`, keepAs: "operator" },
    {
      sql: `insert into config_change (revision, operator_uid, operator_id, record)
        values (${next}, :operator_uid::uuid, ${id}, ${bytes(change)})`,
    },
    {
      sql: `insert into operator (uid, id, revision, record, digest, spec_digest, kind, admin_state, delete_time, purge_time, live_coverage)
        values (:operator_uid::uuid, ${id}, ${next}, ${bytes(record)}, ${bytes(32)}, ${bytes(32)}, 'MNO', 'ENABLED', null, null,
        convert_from(${literal(Buffer.from(coverage))}, 'UTF8')::text[])
        on conflict (uid) do update set ${excluded("id", "revision", "record", "digest", "spec_digest", "kind", "admin_state", "delete_time", "purge_time", "live_coverage")}`,
    },
    {
      sql: `update config_head set revision = ${next}, fingerprint = ${bytes(32)}, commit_time = :head_now::timestamptz`,
    },
    { sql: `select pg_notify('config_changed', ${next}::text)` },
    {
      sql: `insert into request_log (${key}, request_hash, reply, revision, create_time)
        values ('local-editor', 'UpdateOperator', ${request}, ${bytes(32)}, ${bytes(reply)}, ${next}, :head_now::timestamptz)
        on conflict (${key}) do update set ${excluded("request_hash", "reply", "revision", "create_time")}`,
    },
    {
      sql: `insert into audit_event (time, actor_principal, actor_kind, source, method, target, result, request_id, detail)
        values (:head_now::timestamptz, 'local-editor', 'ADMIN', '127.0.0.1', 'UpdateOperator', 'operators/' || ${id}, 'OK', ${request}::text,
        convert_from(${literal(Buffer.from(detail))}, 'UTF8')::jsonb)`,
    },
  ];
}

interface Sizes {
  readonly change: number;
  readonly record: number;
  readonly reply: number;
  readonly coverage: string;
  readonly detail: string;
}

const SIZES = `
  select length(c.record) as change, length(o.record) as record, length(r.reply) as reply,
    o.live_coverage::text as coverage, a.detail::text as detail
  from operator o join config_change c on c.operator_uid = o.uid and c.revision = o.revision
    join request_log r on r.revision = o.revision
    join audit_event a on a.request_id = r.request_id::text
  where o.id = $1`;

function excluded(...columns: string[]): string {
  return columns.map((column) => `${column} = excluded.${column}`).join(", ");
}

function bytes(length: number): string {
  return literal(randomBytes(length));
}

function literal(content: Buffer): string {
  return `'\\x${content.toString("hex")}'::bytea`;
}
