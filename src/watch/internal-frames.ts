import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  OperatorChangesSchema,
  OperatorEventSchema,
  OperatorRemovedSchema,
  WatchOperatorsResponseSchema,
  type WatchOperatorsResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { BookmarkFrame, ChangesFrame, WatchEvent, WatchFrame } from "./watch-frame.ts";

/** Frames as messages for binary transports: a change is encoded once, from the bytes that history stores, for all who get the same frame. */
export class InternalFrames {
  readonly #encoded = new WeakMap<ChangesFrame, WatchOperatorsResponse>();

  /** The message of a frame. Its changes are already encoded, so it has no fields to read, and says nothing as JSON. */
  readonly messageOf = (frame: WatchFrame): WatchOperatorsResponse => {
    if (frame.kind === "bookmark") return bookmarkMessage(frame);
    let message = this.#encoded.get(frame);
    if (message === undefined) {
      message = encodeChanges(frame);
      this.#encoded.set(frame, message);
    }
    return message;
  };
}

/** A bookmark, for any transport. */
export function bookmarkMessage({ token, initialComplete, staleSince }: BookmarkFrame): WatchOperatorsResponse {
  const value = { token, initialComplete, ...(staleSince && { staleSince: timestampFromDate(staleSince) }) };
  return create(WatchOperatorsResponseSchema, { message: { case: "bookmark", value } });
}

function encodeChanges({ events, token }: ChangesFrame): WatchOperatorsResponse {
  const changes = new BinaryWriter();
  for (const event of events) {
    changes.tag(OperatorChangesSchema.field.events.number, WireType.LengthDelimited).fork();
    writeEvent(changes, event);
    changes.join();
  }
  if (token !== "") changes.tag(OperatorChangesSchema.field.token.number, WireType.LengthDelimited).string(token);
  const message = create(WatchOperatorsResponseSchema);
  const { number } = WatchOperatorsResponseSchema.field.changes;
  const data = new BinaryWriter().bytes(changes.finish()).finish();
  message.$unknown = [{ no: number, wireType: WireType.LengthDelimited, data }];
  return message;
}

function writeEvent(writer: BinaryWriter, event: WatchEvent): void {
  if (event.kind === "upsert") {
    writer.tag(OperatorEventSchema.field.upsert.number, WireType.LengthDelimited).raw(event.entry.delimited);
    return;
  }
  const { id, uid, cause } = event;
  const removed = toBinary(OperatorRemovedSchema, create(OperatorRemovedSchema, { id, uid, cause }));
  writer.tag(OperatorEventSchema.field.removed.number, WireType.LengthDelimited).bytes(removed);
}
