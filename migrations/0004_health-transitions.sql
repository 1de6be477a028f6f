CREATE TABLE "health_transition" (
	"operator_uid" uuid NOT NULL,
	"connection_id" text NOT NULL,
	"time" timestamp (6) with time zone NOT NULL,
	"operator_id" text NOT NULL,
	"record" "bytea" NOT NULL,
	CONSTRAINT "health_transition_operator_uid_connection_id_time_pk" PRIMARY KEY("operator_uid","connection_id","time")
);
--> statement-breakpoint
CREATE INDEX "health_transition_time" ON "health_transition" USING btree ("time");--> statement-breakpoint
CREATE INDEX "health_transition_operator" ON "health_transition" USING btree ("operator_id","time");