import { equals, type DescField, type UnknownField } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { joinPath, pathKey } from "../rpc/field-path.ts";
import { opsError } from "../rpc/errors.ts";
import { ordered } from "./canonical.ts";
import { isOutputOnly } from "./field-options.ts";

/**
 * Refuses fields that a client of a newer version sets and this server can't check, rather than dropping them silently. Those that
 * are stored already, as in an operator that was read and is sent back, pass: they are kept.
 * @throws NEWER_SCHEMA
 */
export function requireKnownFields(given: Operator, current: Operator | undefined): void {
  const stored = current && reflect(OperatorSchema, current, false);
  const paths = newFields(reflect(OperatorSchema, given, false), stored ? [stored] : [], "");
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
  const carriers = new Set(before.filter(carriesUnknown));
  if (carriers.size === 0) return;
  const inherit = (isPredecessor: (old: ReflectMessage, item: ReflectMessage) => boolean): void => {
    for (const item of after) {
      const old = carriesUnknown(item) ? undefined : [...carriers].find((each) => isPredecessor(each, item));
      if (old === undefined) continue;
      item.setUnknown([...(old.getUnknown() ?? [])]);
      carriers.delete(old);
    }
  };
  inherit((old, item) => equals(item.desc, withoutUnknown(old).message, item.message));
  inherit((old, item) => {
    const first = old.sortedFields.find((field) => old.isSet(field));
    return (
      first !== undefined && first.fieldKind !== "message" && item.isSet(first) && item.get(first) === old.get(first)
    );
  });
}

function newFields(given: ReflectMessage, stored: readonly ReflectMessage[], path: string): string[] {
  const isStored = (field: UnknownField): boolean =>
    stored.some((message) => message.getUnknown()?.some((known) => isSame(known, field)));
  const paths = (given.getUnknown() ?? []).every(isStored) ? [] : [path];
  for (const child of children(given, path)) {
    if (isOutputOnly(child.field)) continue; // ignored on input, so it may be out of date
    const counterparts = stored.flatMap((message) => child.counterparts(message));
    paths.push(...newFields(child.message, counterparts, child.path));
  }
  return paths;
}

interface Child {
  readonly field: DescField;
  readonly message: ReflectMessage;
  readonly path: string;
  /** What stands in its place in another message; in a list every item may, since items move. */
  readonly counterparts: (other: ReflectMessage) => ReflectMessage[];
}

function* children(message: ReflectMessage, path: string): Iterable<Child> {
  for (const field of message.fields) {
    if (field.message === undefined || !message.isSet(field)) continue;
    const fieldPath = joinPath(path, field.name);
    if (field.fieldKind === "message") {
      const counterparts = (other: ReflectMessage): ReflectMessage[] => (other.isSet(field) ? [other.get(field)] : []);
      yield { field, message: message.get(field), path: fieldPath, counterparts };
    } else if (field.fieldKind === "list") {
      const counterparts = (other: ReflectMessage): ReflectMessage[] => [...other.get(field)] as ReflectMessage[];
      for (const [index, item] of message.get(field).entries()) {
        yield { field, message: item as ReflectMessage, path: `${fieldPath}[${index}]`, counterparts };
      }
    } else if (field.fieldKind === "map") {
      for (const [key, value] of message.get(field)) {
        const counterparts = (other: ReflectMessage): ReflectMessage[] =>
          [other.get(field).get(key) as ReflectMessage | undefined].filter((each) => each !== undefined);
        const entryPath = joinPath(fieldPath, pathKey(String(key)));
        yield { field, message: value as ReflectMessage, path: entryPath, counterparts };
      }
    }
  }
}

function unknownEnums(message: ReflectMessage, path: string): string[] {
  const paths = message.fields
    .filter((field) => message.isSet(field) && enumValues(message, field).some((value) => !isKnown(field, value)))
    .map((field) => joinPath(path, field.name));
  for (const child of children(message, path)) paths.push(...unknownEnums(child.message, child.path));
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

function withoutUnknown(message: ReflectMessage): ReflectMessage {
  const copy = ordered(message, () => true);
  copy.setUnknown([]);
  return copy;
}

function isSame(a: UnknownField, b: UnknownField): boolean {
  return a.no === b.no && a.wireType === b.wireType && Buffer.compare(a.data, b.data) === 0;
}
