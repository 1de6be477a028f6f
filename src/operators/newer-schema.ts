import { toBinary, type DescField } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { joinPath, pathKey } from "../rpc/field-path.ts";
import { opsError } from "../rpc/errors.ts";
import { isOutputOnly } from "./field-options.ts";

/**
 * Refuses fields that a client of a newer version sets and this server can't check, rather than dropping them silently. Those that
 * are stored already, as in an operator that was read and is sent back, pass: they are kept.
 * @throws NEWER_SCHEMA
 */
export function requireKnownFields(given: Operator, current: Operator | undefined): void {
  const sent = unknownFields(reflect(OperatorSchema, given, false));
  if (sent.length === 0) return;
  const stored = current === undefined ? [] : unknownFields(reflect(OperatorSchema, current, false));
  const known = new Set(stored.map(({ identity }) => identity));
  const paths = sent.filter(({ identity }) => !known.has(identity)).map(({ path }) => path);
  if (paths.length > 0) throw newerSchema(paths, "has fields");
}

/**
 * Refuses to write an operator with enum values of a newer version: this server can't know what else they demand.
 * @throws NEWER_SCHEMA
 */
export function requireKnownEnums(operator: Operator): void {
  const paths = unknownEnums(reflect(OperatorSchema, operator, false), "");
  if (paths.length > 0) throw newerSchema(paths, "has a value");
}

/** The refusal of what only a newer version understands; `what` continues the path: "has fields". */
export function newerSchema(paths: readonly string[], what: string): Error {
  const where = paths[0] === "" ? "operator" : (paths[0] ?? "operator");
  const text = `${where}: ${what} that this server's version doesn't know; try again after the upgrade, or on another replica`;
  return opsError(ErrorReason.NEWER_SCHEMA, text, { metadata: { field: where, fields: paths.slice(0, 20).join(" ") } });
}

/**
 * Lets the items of a replaced list keep the fields of a newer version that their predecessors had. The predecessor is the item of
 * equal content, else the first one whose first field is equal: that is what names an item (a window's id, a bind's role).
 */
export function keepNewerFields(before: readonly ReflectMessage[], after: readonly ReflectMessage[]): void {
  const carriers = before.filter(carriesUnknown);
  if (carriers.length === 0) return;
  const heirless = inherit(carriers, after, contentOf);
  inherit(heirless, after, nameOf);
}

/** Gives each item without unknown fields those of the first carrier with the same key; returns the carriers left over. */
function inherit(
  carriers: readonly ReflectMessage[],
  items: readonly ReflectMessage[],
  keyOf: (item: ReflectMessage) => string | undefined,
): ReflectMessage[] {
  const byKey = Map.groupBy(carriers, keyOf);
  for (const item of items) {
    const key = carriesUnknown(item) ? undefined : keyOf(item);
    const carrier = key === undefined ? undefined : byKey.get(key)?.shift();
    if (carrier !== undefined) item.setUnknown([...(carrier.getUnknown() ?? [])]);
  }
  return [...byKey.values()].flat();
}

/** What this version knows of an item. */
function contentOf(item: ReflectMessage): string {
  return Buffer.from(toBinary(item.desc, item.message, { writeUnknownFields: false })).toString("base64");
}

function nameOf(item: ReflectMessage): string | undefined {
  const first = item.sortedFields.find((field) => item.isSet(field));
  return first?.fieldKind === "scalar" || first?.fieldKind === "enum"
    ? `${first.number} ${String(item.get(first))}`
    : undefined;
}

interface UnknownAt {
  readonly path: string;
  /** The field's content and where it stands; in a list every index is alike, since items move. */
  readonly identity: string;
}

/** The fields of a newer version that people may have set; what stands in output-only fields is ignored on input. */
function unknownFields(message: ReflectMessage, path = "", place = ""): UnknownAt[] {
  const found = (message.getUnknown() ?? []).map(({ no, wireType, data }) => ({
    path,
    identity: `${place} ${no} ${wireType} ${Buffer.from(data).toString("base64")}`,
  }));
  for (const { field, message: inner, step, index } of children(message)) {
    if (isOutputOnly(field)) continue;
    found.push(...unknownFields(inner, joinPath(path, step + index), joinPath(place, step)));
  }
  return found;
}

interface Child {
  readonly field: DescField;
  readonly message: ReflectMessage;
  /** The field's name, with the key of a map's entry. */
  readonly step: string;
  /** `[3]` for an item of a list, else empty. */
  readonly index: string;
}

function* children(message: ReflectMessage): Iterable<Child> {
  for (const field of message.fields) {
    if (field.message === undefined || !message.isSet(field)) continue;
    if (field.fieldKind === "message") {
      yield { field, message: message.get(field), step: field.name, index: "" };
    } else if (field.fieldKind === "list") {
      for (const [index, item] of message.get(field).entries()) {
        yield { field, message: item as ReflectMessage, step: field.name, index: `[${index}]` };
      }
    } else if (field.fieldKind === "map") {
      for (const [key, value] of message.get(field)) {
        yield { field, message: value as ReflectMessage, step: joinPath(field.name, pathKey(String(key))), index: "" };
      }
    }
  }
}

function unknownEnums(message: ReflectMessage, path: string): string[] {
  const paths = message.fields
    .filter((field) => message.isSet(field) && enumValues(message, field).some((value) => !isKnown(field, value)))
    .map((field) => joinPath(path, field.name));
  for (const { message: inner, step, index } of children(message)) {
    paths.push(...unknownEnums(inner, joinPath(path, step + index)));
  }
  return paths;
}

function enumValues(message: ReflectMessage, field: DescField): number[] {
  if (field.enum === undefined) return [];
  if (field.fieldKind === "enum") return [message.get(field)];
  if (field.fieldKind === "list") return [...message.get(field)] as number[];
  return field.fieldKind === "map" ? ([...message.get(field).values()] as number[]) : [];
}

function isKnown(field: DescField, value: number): boolean {
  return field.enum?.value[value] !== undefined;
}

function carriesUnknown(message: ReflectMessage): boolean {
  return (message.getUnknown()?.length ?? 0) > 0;
}
