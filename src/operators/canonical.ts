import { createHash } from "node:crypto";
import { toBinary, type DescField } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { isOutputOnly } from "./field-options.ts";

/**
 * The one encoding of an operator: equal content, equal bytes. Fields by number, map entries by key, unknown fields (those of a
 * newer version) kept, last and by number. Keys that look like array indexes (only `status_map` can have such) stand first and
 * in numeric order, because JavaScript objects hold them so.
 */
export function canonicalBytes(operator: Operator): Uint8Array {
  return encode(operator, everyField);
}

/** The bytes of an operator's configuration: `canonicalBytes` without output-only fields, at any depth. */
export function specBytes(operator: Operator): Uint8Array {
  return encode(operator, isSpec);
}

/** The etag of a configuration: the first 16 bytes of SHA-256 over `specBytes`, as lower-case hex. */
export function etagOf(operator: Operator): string {
  return createHash("sha256").update(specBytes(operator)).digest("hex").slice(0, 32);
}

/** A deep copy, unknown fields included. */
export function copyOf(operator: Operator): Operator {
  return ordered(reflect(OperatorSchema, operator, false), everyField).message as Operator;
}

/** A copy with only the fields that `keep` is true for, at any depth, map entries sorted by key. */
export function ordered(message: ReflectMessage, keep: (field: DescField) => boolean): ReflectMessage {
  const copy = reflect(message.desc, undefined, false);
  for (const field of message.fields) {
    if (!keep(field) || !message.isSet(field)) continue;
    switch (field.fieldKind) {
      case "scalar":
      case "enum":
        copy.set(field, message.get(field));
        break;
      case "message":
        copy.set(field, ordered(message.get(field), keep));
        break;
      case "list": {
        const list = copy.get(field);
        for (const item of message.get(field)) list.add(field.message ? ordered(item as ReflectMessage, keep) : item);
        break;
      }
      case "map": {
        const map = copy.get(field);
        const entries = [...(message.get(field).entries() as Iterable<[string, unknown]>)];
        for (const [key, value] of entries.sort(byKey)) {
          map.set(key, field.message ? ordered(value as ReflectMessage, keep) : value);
        }
        break;
      }
    }
  }
  const unknown = message.getUnknown();
  if (unknown !== undefined && unknown.length > 0) copy.setUnknown([...unknown].sort((a, b) => a.no - b.no));
  return copy;
}

function encode(operator: Operator, keep: (field: DescField) => boolean): Uint8Array {
  return toBinary(OperatorSchema, ordered(reflect(OperatorSchema, operator, false), keep).message as Operator);
}

function everyField(): boolean {
  return true;
}

function isSpec(field: DescField): boolean {
  return !isOutputOnly(field);
}

/** By UTF-16 code unit, as `<` compares strings: independent of any locale. */
function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
