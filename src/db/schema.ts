import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from "drizzle-orm/pg-core";
import { bytea, timestamptz } from "./column-types.ts";

/** The one row that every config transaction locks first: revision order equals commit order. */
export const configHead = pgTable(
  "config_head",
  {
    one: boolean().primaryKey().default(true),
    /** 16 bytes, minted at the first start. */
    storeId: bytea("store_id").notNull(),
    /** The rule that fingerprints are made by, so that another may follow. */
    chain: integer().notNull(),
    /** 0 before the first change. */
    revision: bigint({ mode: "bigint" }).notNull(),
    fingerprint: bytea().notNull(),
    commitTime: timestamptz("commit_time").notNull(),
  },
  (head) => [check("config_head_one", sql`${head.one}`)],
);

/** The current record of every operator, deleted ones included; each column but uid is derived from the last change in history. */
export const operator = pgTable(
  "operator",
  {
    uid: uuid().primaryKey(),
    id: text().notNull().unique(),
    revision: bigint({ mode: "bigint" }).notNull(),
    /** An encoded ops.v1.Operator: the same bytes as in config_change. */
    record: bytea().notNull(),
    /** SHA-256 of the record. */
    digest: bytea().notNull(),
    /** SHA-256 of the spec; the etag is its beginning. */
    specDigest: bytea("spec_digest").notNull(),
    /** Short enum name, e.g. `MNO`. */
    kind: text().notNull(),
    /** Short enum name, e.g. `ENABLED`. */
    adminState: text("admin_state").notNull(),
    deleteTime: timestamptz("delete_time"),
    purgeTime: timestamptz("purge_time"),
    /** The coverage keys that it routes now, sorted. */
    liveCoverage: text("live_coverage").array().notNull(),
  },
  (row) => [index("operator_live_coverage").using("gin", row.liveCoverage)],
);

/** History, watch feed, tamper-evident log and outbox in one. Rows are only ever inserted. */
export const configChange = pgTable(
  "config_change",
  {
    revision: bigint({ mode: "bigint" }).notNull(),
    operatorUid: uuid("operator_uid").notNull(),
    operatorId: text("operator_id").notNull(),
    /** An encoded ops.v1.ConfigChange; the fingerprints cover these bytes. */
    record: bytea().notNull(),
  },
  (row) => [
    primaryKey({ columns: [row.revision, row.operatorUid] }),
    index("config_change_operator").on(row.operatorUid, row.revision),
  ],
);

/** Answers of successful mutations, so that a repeated request id is answered alike for 24 hours. */
export const requestLog = pgTable(
  "request_log",
  {
    principal: text().notNull(),
    method: text().notNull(),
    requestId: uuid("request_id").notNull(),
    /** SHA-256 of the request without its redacted fields. */
    requestHash: bytea("request_hash").notNull(),
    /** The encoded reply message. */
    reply: bytea().notNull(),
    revision: bigint({ mode: "bigint" }).notNull(),
    createTime: timestamptz("create_time").notNull(),
  },
  (row) => [
    primaryKey({ columns: [row.principal, row.method, row.requestId] }),
    index("request_log_create_time").on(row.createTime),
  ],
);

/** Versions of connections' credentials: where the secret is, never the secret. */
export const credential = pgTable(
  "credential",
  {
    id: uuid().primaryKey(),
    operatorUid: uuid("operator_uid").notNull(),
    connectionId: text("connection_id").notNull(),
    version: integer().notNull(),
    state: text().notNull(),
    /** The secret's path in the secret store; immutable. */
    path: text().notNull(),
    systemId: text("system_id").notNull(),
    mode: text(),
    createTime: timestamptz("create_time").notNull(),
    stateTime: timestamptz("state_time").notNull(),
    /** The principal that set it. */
    actor: text().notNull(),
    requestId: text("request_id").notNull(),
    /** When its TLS client certificate expires; null without one. */
    clientCertificateExpireTime: timestamptz("client_certificate_expire_time"),
    /** When the secret was made unreadable in the secret store, recoverably; null: it is readable there, or was never written. */
    secretDeleteTime: timestamptz("secret_delete_time"),
    /** When the secret was destroyed in the secret store, for good. */
    secretDestroyTime: timestamptz("secret_destroy_time"),
  },
  (row) => [unique("credential_version").on(row.operatorUid, row.connectionId, row.version)],
);

/** Who did what. Rows are only ever inserted. */
export const auditEvent = pgTable("audit_event", {
  id: bigint({ mode: "bigint" }).primaryKey().generatedAlwaysAsIdentity(),
  time: timestamptz().notNull(),
  actorPrincipal: text("actor_principal").notNull(),
  /** Short enum name, e.g. `ADMIN`. */
  actorKind: text("actor_kind").notNull(),
  source: text().notNull(),
  /** The RPC's name, e.g. `UpdateOperator`. */
  method: text().notNull(),
  target: text().notNull(),
  /** `OK`, or the reason of the error. */
  result: text().notNull(),
  requestId: text("request_id").notNull(),
  detail: jsonb().$type<Record<string, unknown>>().notNull(),
  /** Of a record that came over the bus, which may bring it twice; null for one written with what it tells of. */
  eventId: uuid("event_id").unique("audit_event_event_id"),
});

/** The last report of every node. */
export const nodeStatus = pgTable(
  "node_status",
  {
    /** The mesh namespace that the node reports from; names are unique within it. */
    namespace: text().notNull(),
    node: text().notNull(),
    epoch: bigint({ mode: "bigint" }).notNull(),
    /** The encoded ReportNodeStatusRequest. */
    report: bytea().notNull(),
    reportTime: timestamptz("report_time").notNull(),
  },
  (row) => [primaryKey({ columns: [row.namespace, row.node] })],
);

/** Changes of links' operational states, as they were recorded. Rows are inserted, and removed when they are old. */
export const healthTransition = pgTable(
  "health_transition",
  {
    operatorUid: uuid("operator_uid").notNull(),
    connectionId: text("connection_id").notNull(),
    /** When it was recorded. A link has one transition at a time, so this names it. */
    time: timestamptz().notNull(),
    operatorId: text("operator_id").notNull(),
    /** The encoded HealthTransition. */
    record: bytea().notNull(),
  },
  (row) => [
    primaryKey({ columns: [row.operatorUid, row.connectionId, row.time] }),
    index("health_transition_time").on(row.time),
    index("health_transition_operator").on(row.operatorId, row.time),
  ],
);
