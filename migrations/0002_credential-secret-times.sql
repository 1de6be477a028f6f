ALTER TABLE "node_status" DROP CONSTRAINT "node_status_pkey";--> statement-breakpoint
ALTER TABLE "node_status" ADD CONSTRAINT "node_status_namespace_node_pk" PRIMARY KEY("namespace","node");--> statement-breakpoint
ALTER TABLE "credential" ADD COLUMN "client_certificate_expire_time" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "credential" ADD COLUMN "secret_delete_time" timestamp (6) with time zone;--> statement-breakpoint
ALTER TABLE "credential" ADD COLUMN "secret_destroy_time" timestamp (6) with time zone;
