ALTER TABLE "audit_event" ADD COLUMN "event_id" uuid;--> statement-breakpoint
ALTER TABLE "audit_event" ADD CONSTRAINT "audit_event_event_id" UNIQUE("event_id");