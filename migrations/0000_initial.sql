CREATE TABLE "audit_event" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "audit_event_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"time" timestamp (6) with time zone NOT NULL,
	"actor_principal" text NOT NULL,
	"actor_kind" text NOT NULL,
	"source" text NOT NULL,
	"method" text NOT NULL,
	"target" text NOT NULL,
	"result" text NOT NULL,
	"request_id" text NOT NULL,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "config_change" (
	"revision" bigint NOT NULL,
	"operator_uid" uuid NOT NULL,
	"operator_id" text NOT NULL,
	"record" "bytea" NOT NULL,
	CONSTRAINT "config_change_revision_operator_uid_pk" PRIMARY KEY("revision","operator_uid")
);
--> statement-breakpoint
CREATE TABLE "config_head" (
	"one" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"store_id" "bytea" NOT NULL,
	"chain" integer NOT NULL,
	"revision" bigint NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"commit_time" timestamp (6) with time zone NOT NULL,
	CONSTRAINT "config_head_one" CHECK ("config_head"."one")
);
--> statement-breakpoint
CREATE TABLE "credential" (
	"id" uuid PRIMARY KEY NOT NULL,
	"operator_uid" uuid NOT NULL,
	"connection_id" text NOT NULL,
	"version" integer NOT NULL,
	"state" text NOT NULL,
	"path" text NOT NULL,
	"system_id" text NOT NULL,
	"mode" text,
	"create_time" timestamp (6) with time zone NOT NULL,
	"state_time" timestamp (6) with time zone NOT NULL,
	"actor" text NOT NULL,
	"request_id" text NOT NULL,
	CONSTRAINT "credential_version" UNIQUE("operator_uid","connection_id","version")
);
--> statement-breakpoint
CREATE TABLE "node_status" (
	"node" text PRIMARY KEY NOT NULL,
	"epoch" bigint NOT NULL,
	"namespace" text NOT NULL,
	"report" "bytea" NOT NULL,
	"report_time" timestamp (6) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "operator" (
	"uid" uuid PRIMARY KEY NOT NULL,
	"id" text NOT NULL,
	"revision" bigint NOT NULL,
	"record" "bytea" NOT NULL,
	"digest" "bytea" NOT NULL,
	"spec_digest" "bytea" NOT NULL,
	"kind" text NOT NULL,
	"admin_state" text NOT NULL,
	"delete_time" timestamp (6) with time zone,
	"purge_time" timestamp (6) with time zone,
	"live_coverage" text[] NOT NULL,
	CONSTRAINT "operator_id_unique" UNIQUE("id")
);
--> statement-breakpoint
CREATE TABLE "request_log" (
	"principal" text NOT NULL,
	"method" text NOT NULL,
	"request_id" uuid NOT NULL,
	"request_hash" "bytea" NOT NULL,
	"reply" "bytea" NOT NULL,
	"revision" bigint NOT NULL,
	"create_time" timestamp (6) with time zone NOT NULL,
	CONSTRAINT "request_log_principal_method_request_id_pk" PRIMARY KEY("principal","method","request_id")
);
--> statement-breakpoint
CREATE INDEX "config_change_operator" ON "config_change" USING btree ("operator_uid","revision");--> statement-breakpoint
CREATE INDEX "operator_live_coverage" ON "operator" USING gin ("live_coverage");--> statement-breakpoint
CREATE INDEX "request_log_create_time" ON "request_log" USING btree ("create_time");