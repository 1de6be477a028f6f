import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  WatchOperatorsResponseSchema,
  type OperatorEventSchema,
  type WatchOperatorsResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { bookmarkMessage } from "./internal-frames.ts";
import type { WatchEvent, WatchFrame } from "./watch-frame.ts";

/** A frame as a message whose fields can be read, as JSON needs it. */
export function adminMessageOf(frame: WatchFrame): WatchOperatorsResponse {
  if (frame.kind === "bookmark") return bookmarkMessage(frame);
  const value = { events: frame.events.map(eventInit), token: frame.token };
  return create(WatchOperatorsResponseSchema, { message: { case: "changes", value } });
}

function eventInit(event: WatchEvent): MessageInitShape<typeof OperatorEventSchema> {
  if (event.kind === "upsert") return { event: { case: "upsert", value: event.entry.operator } };
  const { id, uid, cause } = event;
  return { event: { case: "removed", value: { id, uid, cause } } };
}
