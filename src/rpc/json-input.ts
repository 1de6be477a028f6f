import {
  fromJson,
  fromJsonString,
  ScalarType,
  type DescEnum,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { fieldInvalid, opsError, type FieldViolation } from "./errors.ts";
import { joinPath, pathKey } from "./field-path.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Decodes the JSON text of a message, and refuses what is none, with the path of every field that doesn't fit. No error quotes a
 * value: the codec's own texts do (`expected string, got 123456`), also a password's, which is why they go no further.
 * @throws MALFORMED, FIELD_UNKNOWN, FIELD_INVALID
 */
export function decodeJsonText(schema: DescMessage, bytes: Uint8Array): string {
  if (bytes.byteLength === 0) throw malformed("the body is empty; send a JSON object, {} at least");
  const text = decodeUtf8(bytes);
  const json = parse(text);
  try {
    fromJsonString(schema, text, strict);
    return text;
  } catch {
    throw explain(schema, json);
  }
}

/** Connect's default ignores unknown fields; a misspelt one would be silently dropped. */
const strict = { ignoreUnknownFields: false };

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed("the body is not UTF-8 text");
  }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    // The engine's text quotes the body, so that only the position is taken from it.
    const position = /position (\d+)/.exec(String(error))?.[1];
    throw malformed(`the body is not JSON${position === undefined ? "" : ` (at position ${position})`}`, { position });
  }
}

/** Looks for what the codec stumbled over: a walk along the descriptor, with the codec as the judge of each single value. */
function explain(schema: DescMessage, json: JsonValue): ConnectError {
  if (!isObject(json)) return malformed("the body is JSON, but not an object");
  const found: Found = { unknown: [], invalid: [] };
  walkMessage(schema, json, "", found);
  const [unknown] = found.unknown;
  if (unknown !== undefined) {
    const violations = [...found.unknown, ...found.invalid];
    const text = `${unknown.field}: ${unknown.description}`;
    return opsError(ErrorReason.FIELD_UNKNOWN, text, { violations, metadata: { field: unknown.field } });
  }
  if (found.invalid.length > 0) return fieldInvalid(found.invalid);
  return malformed("the body has a key twice in one object, or nests too deeply");
}

interface Found {
  readonly unknown: FieldViolation[];
  readonly invalid: FieldViolation[];
}

function walkMessage(schema: DescMessage, json: JsonObject, path: string, found: Found): void {
  const before = found.unknown.length + found.invalid.length;
  for (const [key, value] of Object.entries(json)) {
    const field = schema.fields.find((candidate) => candidate.jsonName === key || candidate.name === key);
    if (field === undefined) {
      found.unknown.push({ field: joinPath(path, pathKey(key)), description: unknownText(schema, key) });
    } else {
      walkField(field, value, joinPath(path, field.name), found);
    }
  }
  if (found.unknown.length + found.invalid.length > before || fits(() => fromJson(schema, json, strict))) return;
  // Each field fits for itself: two of them are the same one, or of one oneof.
  found.invalid.push({ field: path, description: "sets the same field twice, or two fields that exclude each other" });
}

function walkField(field: DescField, value: JsonValue, path: string, found: Found): void {
  const invalid = (description: string): unknown => found.invalid.push({ field: path, description });
  if (value === null) return; // JSON's way to leave any field unset
  switch (field.fieldKind) {
    case "list":
      if (!Array.isArray(value)) invalid("must be a list");
      else value.forEach((item, index) => walkItem(field, item, `${path}[${index}]`, found));
      break;
    case "map":
      if (!isObject(value)) invalid("must be an object");
      else for (const [key, item] of Object.entries(value)) walkItem(field, item, joinPath(path, pathKey(key)), found);
      break;
    case "message":
      walkMessageValue(field.message, value, path, found);
      break;
    case "scalar":
    case "enum":
      if (!fits(() => fromJson(field.parent, { [field.jsonName]: value }, strict))) invalid(expected(field));
      break;
    default:
      field satisfies never;
  }
}

/** One element of a list, or one value of a map. */
function walkItem(field: DescField & { fieldKind: "list" | "map" }, item: JsonValue, path: string, found: Found): void {
  if (field.message !== undefined) {
    walkMessageValue(field.message, item, path, found);
    return;
  }
  const sample: JsonValue = field.fieldKind === "list" ? [item] : { key: item };
  if (!fits(() => fromJson(field.parent, { [field.jsonName]: sample }, strict))) {
    found.invalid.push({ field: path, description: expected(field) });
  }
}

function walkMessageValue(schema: DescMessage, value: JsonValue, path: string, found: Found): void {
  if (schema.typeName.startsWith("google.protobuf.")) {
    if (!fits(() => fromJson(schema, value, strict)))
      found.invalid.push({ field: path, description: wellKnownText(schema) });
  } else if (isObject(value)) {
    walkMessage(schema, value, path, found);
  } else {
    found.invalid.push({ field: path, description: "must be an object" });
  }
}

function fits(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch {
    return false; // the answer is all that is asked for
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names the field that was probably meant, where one differs in case and underscores only. */
function unknownText(schema: DescMessage, key: string): string {
  const plain = (name: string): string => name.replace(/[_-]/g, "").toLowerCase();
  const meant = schema.fields.find((field) => plain(field.name) === plain(key));
  const name = schema.name.replace(/Request$/, " request");
  return `no such field in ${name}${meant === undefined ? "; check the spelling" : `; did you mean ${meant.name}?`}`;
}

const integers: ReadonlyMap<ScalarType, string> = new Map([
  [ScalarType.INT32, "a whole number from -2147483648 to 2147483647"],
  [ScalarType.UINT32, "a whole number from 0 to 4294967295"],
  [ScalarType.UINT64, "a whole number from 0 to 18446744073709551615, or that as text"],
]);

function expected(field: DescField): string {
  if (field.enum !== undefined) return `must be one of ${enumNames(field.enum)}`;
  switch (field.scalar) {
    case ScalarType.STRING:
      return "must be text, without lone surrogates";
    case ScalarType.BOOL:
      return "must be true or false";
    case ScalarType.BYTES:
      return "must be base64 text";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return "must be a number";
    default:
      return `must be ${(field.scalar === undefined ? undefined : integers.get(field.scalar)) ?? "a whole number"}`;
  }
}

function enumNames(desc: DescEnum): string {
  return desc.values
    .filter((value) => value.number !== 0)
    .map((value) => value.name)
    .join(", ");
}

function wellKnownText(schema: DescMessage): string {
  switch (schema.name) {
    case "Timestamp":
      return "must be a time such as 2026-01-31T12:00:00Z";
    case "Duration":
      return "must be a span in seconds such as 3.5s";
    case "FieldMask":
      return "must be paths in lowerCamelCase, joined by commas, such as displayName,connections.main.maxBinds";
    default:
      return `must be a ${schema.name}`;
  }
}

function malformed(text: string, metadata: Readonly<Record<string, string | undefined>> = {}): ConnectError {
  const known = Object.entries(metadata).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return opsError(ErrorReason.MALFORMED, text, { metadata: Object.fromEntries(known) });
}
