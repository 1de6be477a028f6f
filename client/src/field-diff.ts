import {
  clone,
  create,
  equals,
  toJson,
  type DescField,
  type DescMessage,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { FieldChangeSchema, type FieldChange } from "@operator-management/contract/ops/v1/common_pb.js";
import { decidesByField, isRedacted, mayHoldSecrets, needsRebind } from "./field-options.ts";

const LONGEST_VALUE = 1024;

/** What a diff holds besides the paths. */
export interface DiffOptions {
  /** Whether `old_value` and `new_value` are filled in; printing them costs more than finding them. Default: true. */
  readonly values?: boolean;
}

/**
 * What differs between two messages, in the order of the fields' declaration and, within a map, of the keys.
 *
 * - Paths are written as in an update mask: `connections.main.throughput.window`. A list is one value, and so is a map's
 *   entry or a sub-message that exists on one side only.
 * - `rebind` comes from `(ops.v1.rebind)` of the field or of one that it stands in; but where a message marks fields of its
 *   own, these decide alone, and the mark around it speaks for entries added or removed.
 * - Fields marked `debug_redact` don't occur, at any depth: a change of nothing else is no change.
 */
export function diffMessages<D extends DescMessage>(
  schema: D,
  before: MessageShape<D>,
  after: MessageShape<D>,
  options: DiffOptions = {},
): FieldChange[] {
  const changes: FieldChange[] = [];
  diffFields({ changes, values: options.values ?? true }, reflect(schema, before), reflect(schema, after), "", false);
  return changes;
}

interface Sink {
  readonly changes: FieldChange[];
  readonly values: boolean;
}

function diffFields(sink: Sink, before: ReflectMessage, after: ReflectMessage, prefix: string, marked: boolean): void {
  for (const field of before.fields) {
    const [was, is] = [before.isSet(field), after.isSet(field)];
    if (isRedacted(field) || (!was && !is)) continue;
    const path = prefix + field.name;
    const rebind = marked || needsRebind(field);
    if (field.fieldKind === "message" && was && is && isWalked(field.message)) {
      diffFields(sink, before.get(field), after.get(field), `${path}.`, inherited(field.message, rebind));
    } else if (field.fieldKind === "map") {
      diffMap(sink, before, after, field, path, rebind);
    } else {
      const marks = rebind || (field.message !== undefined && was !== is && marksSet(was ? before : after, field));
      addChange(sink, only(before, field), only(after, field), field, path, marks);
    }
  }
}

function diffMap(
  sink: Sink,
  before: ReflectMessage,
  after: ReflectMessage,
  field: DescField & { fieldKind: "map" },
  prefix: string,
  rebind: boolean,
): void {
  const [old, current] = [before.get(field), after.get(field)];
  const keys = new Set([...old.keys(), ...current.keys()]);
  for (const key of [...keys].sort(byText)) {
    const path = `${prefix}.${String(key)}`;
    const [oldValue, newValue] = [old.get(key), current.get(key)];
    if (field.message !== undefined && isWalked(field.message) && oldValue !== undefined && newValue !== undefined) {
      const walked = [oldValue as ReflectMessage, newValue as ReflectMessage] as const;
      diffFields(sink, ...walked, `${path}.`, inherited(field.message, rebind));
    } else {
      addChange(sink, only(before, field, key), only(after, field, key), field, path, rebind, String(key));
    }
  }
}

/** Times, spans and other well-known types are values, not structures. */
function isWalked(message: DescMessage): boolean {
  return !message.typeName.startsWith("google.protobuf.");
}

function inherited(message: DescMessage, rebind: boolean): boolean {
  return rebind && !decidesByField(message);
}

/** Whether a sub-message that comes or goes as a whole sets a field that is marked. */
function marksSet(holder: ReflectMessage, field: DescField): boolean {
  if (field.fieldKind !== "message") return false;
  const inner = holder.get(field);
  return inner.fields.some((each) => inner.isSet(each) && (needsRebind(each) || marksSet(inner, each)));
}

/** A message of the same type with this one field, or this one entry of a map, and without secrets. */
function only(from: ReflectMessage, field: DescField, key?: unknown): ReflectMessage {
  const holder = reflect(from.desc, create(from.desc), false);
  if (field.fieldKind === "map") {
    const value = from.get(field).get(key);
    if (value !== undefined) holder.get(field).set(key, value);
  } else if (from.isSet(field)) {
    holder.set(field, from.get(field));
  }
  return field.message !== undefined && mayHoldSecrets(field.message) ? withoutSecrets(holder) : holder;
}

function withoutSecrets(holder: ReflectMessage): ReflectMessage {
  const copy = reflect(holder.desc, clone(holder.desc, holder.message));
  clearSecrets(copy);
  return copy;
}

function clearSecrets(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (isRedacted(field)) message.clear(field);
    else if (field.message !== undefined && message.isSet(field)) {
      const value: unknown = message.get(field);
      if (field.fieldKind === "message") clearSecrets(value as ReflectMessage);
      else for (const item of (value as ReadonlyMap<unknown, ReflectMessage>).values()) clearSecrets(item);
    }
  }
}

function addChange(
  sink: Sink,
  before: ReflectMessage,
  after: ReflectMessage,
  field: DescField,
  path: string,
  rebind: boolean,
  key?: string,
): void {
  if (equals(before.desc, before.message, after.message)) return;
  const change = create(FieldChangeSchema, { path, rebind });
  if (sink.values) {
    change.oldValue = valueText(before, field, key);
    change.newValue = valueText(after, field, key);
  }
  sink.changes.push(change);
}

function valueText(holder: ReflectMessage, field: DescField, key: string | undefined): string {
  const json = toJson(holder.desc, holder.message) as Record<string, JsonValue | undefined>;
  let value = json[field.jsonName];
  if (key !== undefined && value !== undefined) value = (value as Record<string, JsonValue | undefined>)[key];
  if (value === undefined) return "";
  const characters = [...JSON.stringify(value)];
  return characters.length <= LONGEST_VALUE
    ? characters.join("")
    : `${characters.slice(0, LONGEST_VALUE - 1).join("")}…`;
}

function byText(a: unknown, b: unknown): number {
  const [left, right] = [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
