import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { encodeToken, type Position } from "@operator-management/client";
import { ConfigEventSchema, ConfigReferenceSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { ChangeRow } from "../catalog/revision.ts";

const SUBJECTS = "ops.config.v1.";

/** No operator's id begins with an underscore. */
export const RESET_SUBJECT = `${SUBJECTS}_reset`;

/** NATS takes 1 MiB, headers included, unless it is told otherwise. */
export const MAX_EVENT_BYTES = 900 * 1024;

/** The subject on which an operator's changes are told. */
export function subjectOf(operatorId: string): string {
  return SUBJECTS + operatorId;
}

/** The operator that a subject is about; undefined for any other subject. */
export function operatorIdOf(subject: string): string | undefined {
  return subject.startsWith(SUBJECTS) && subject !== RESET_SUBJECT ? subject.slice(SUBJECTS.length) : undefined;
}

/** A ConfigEvent with the record's own bytes, or with a reference to it (at this position) when it is too large. */
export function changeEvent(
  row: ChangeRow,
  position: Position,
  refillLeft = 0,
  maxBytes: number = MAX_EVENT_BYTES,
): Uint8Array {
  const { change, refillLeft: left } = ConfigEventSchema.field;
  if (row.record.length > maxBytes) {
    const { operatorUid: uid, operatorId, revision } = row;
    const value = create(ConfigReferenceSchema, { uid, operatorId, revision, token: encodeToken(position) });
    return toBinary(ConfigEventSchema, create(ConfigEventSchema, { event: { case: "reference", value }, refillLeft }));
  }
  const writer = new BinaryWriter().tag(change.number, WireType.LengthDelimited).bytes(row.record);
  if (refillLeft > 0) writer.tag(left.number, WireType.Varint).uint32(refillLeft);
  return writer.finish();
}

/** A ConfigEvent that announces that the state at this position is told anew, in so many messages. */
export function resetEvent(position: Position, refillLeft: number): Uint8Array {
  const value = { token: encodeToken(position) };
  return toBinary(ConfigEventSchema, create(ConfigEventSchema, { event: { case: "reset", value }, refillLeft }));
}

/** A ConfigEvent that says that history knows no such operator. */
export function absenceEvent(operatorId: string): Uint8Array {
  return toBinary(ConfigEventSchema, create(ConfigEventSchema, { event: { case: "absence", value: { operatorId } } }));
}

/** The bytes of the field of a ConfigEvent; undefined when it has none, or is none. Decoding and encoding again might yield others. */
export function rawField(event: Uint8Array, name: "change" | "reference" | "absence"): Uint8Array | undefined {
  const { number } = ConfigEventSchema.field[name];
  const reader = new BinaryReader(event);
  let found: Uint8Array | undefined;
  try {
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === number && wireType === WireType.LengthDelimited) found = reader.bytes();
      else reader.skip(wireType, field);
    }
  } catch {
    return undefined; // somebody else's message: it says nothing of any operator
  }
  return found;
}
