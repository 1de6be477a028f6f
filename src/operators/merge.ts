import type { DescField, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { joinPath, pathKey } from "../rpc/field-path.ts";
import type { FieldViolation } from "../rpc/errors.ts";
import { isImmutable, isOutputOnly } from "./field-options.ts";
import { keepNewerFields } from "./newer-schema.ts";

/**
 * Where a merge has got to. What it changes is always the target, in place: output-only fields and the fields of a newer version
 * stay in it, and nothing of either is taken from the source.
 */
export interface MergeAt {
  readonly path: string;
  /** The update mask names this very field, so an empty value means: clear it. */
  readonly named: boolean;
  /** Changes of fields that can't change. */
  readonly frozen: FieldViolation[];
}

/** Makes the target's configuration equal to the source's. */
export function replaceMessage(target: ReflectMessage, source: ReflectMessage, at: MergeAt): void {
  for (const field of target.fields) {
    replaceField(target, source, field, { ...at, path: joinPath(at.path, field.name), named: false });
  }
}

/** Makes one field of the target equal to the source's; without a source, or when it isn't set there, the field is cleared. */
export function replaceField(
  target: ReflectMessage,
  source: ReflectMessage | undefined,
  field: DescField,
  at: MergeAt,
): void {
  if (isOutputOnly(field) || isFrozen(target, source, field, at)) return;
  if (source === undefined || !source.isSet(field)) {
    target.clear(field);
    return;
  }
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      target.set(field, source.get(field));
      break;
    case "message":
      if (target.isSet(field)) replaceMessage(target.get(field), source.get(field), at);
      else target.set(field, copyOfSpec(source.get(field)));
      break;
    case "list":
      replaceList(target.get(field), source.get(field));
      break;
    case "map": {
      const [entries, given] = [target.get(field), source.get(field)];
      for (const key of [...entries.keys()]) if (!given.has(key)) entries.delete(key);
      for (const key of given.keys()) replaceEntry(entries, given, key, at);
      break;
    }
  }
}

/** As `replaceField`, for one entry of a map. */
export function replaceEntry(target: ReflectMap, source: ReflectMap | undefined, key: unknown, at: MergeAt): void {
  const given = source?.get(key);
  if (given === undefined) {
    target.delete(key);
    return;
  }
  const existing = target.get(key);
  if (target.field().message === undefined) target.set(key, given);
  else if (existing === undefined) target.set(key, copyOfSpec(given as ReflectMessage));
  else {
    const path = joinPath(at.path, pathKey(String(key)));
    replaceMessage(existing as ReflectMessage, given as ReflectMessage, { ...at, path });
  }
}

/** Takes over what is set in the source and leaves the rest: sub-messages and map entries are merged, lists replaced. */
export function mergeMessage(target: ReflectMessage, source: ReflectMessage, at: MergeAt): void {
  for (const field of target.fields) {
    if (!source.isSet(field)) continue;
    const here: MergeAt = { ...at, path: joinPath(at.path, field.name), named: false };
    if (field.fieldKind === "message" && target.isSet(field) && !isOutputOnly(field) && !isSingleValue(field)) {
      mergeMessage(target.get(field), source.get(field), here);
    } else if (field.fieldKind === "map" && !isOutputOnly(field)) {
      const [entries, given] = [target.get(field), source.get(field)];
      for (const key of given.keys()) {
        const existing = entries.get(key);
        if (field.message === undefined || existing === undefined) replaceEntry(entries, given, key, here);
        else {
          const path = joinPath(here.path, pathKey(String(key)));
          mergeMessage(existing as ReflectMessage, given.get(key) as ReflectMessage, { ...here, path });
        }
      }
    } else {
      replaceField(target, source, field, here);
    }
  }
}

/** Times and spans: seconds of one and nanoseconds of another would make a third. */
function isSingleValue(field: DescField): boolean {
  return field.message?.typeName.startsWith("google.protobuf.") === true;
}

/** Whether the field must stay as it is; a source that would change it is noted. One that leaves it out wholesale is not. */
function isFrozen(target: ReflectMessage, source: ReflectMessage | undefined, field: DescField, at: MergeAt): boolean {
  const description = frozenBecause(target.message, field);
  if (description === undefined) return false;
  const given = source?.isSet(field) === true;
  const differs = given ? source.get(field) !== target.get(field) : at.named && target.isSet(field);
  if (differs) at.frozen.push({ field: at.path, description });
  return true;
}

function frozenBecause(message: Message, field: DescField): string | undefined {
  if (isImmutable(field)) return "can't be changed; create another operator";
  if (field !== ConnectionSchema.field.systemId) return undefined;
  const { credential } = message as Connection;
  if (credential?.active === undefined && credential?.pending === undefined) return undefined;
  return "changes only together with the credential: disable the connection, then call SetConnectionCredential";
}

function replaceList(target: ReflectList, source: ReflectList): void {
  const isMessage = target.field().message !== undefined;
  const items = Array.from(source, (item) => (isMessage ? copyOfSpec(item as ReflectMessage) : item));
  if (isMessage) keepNewerFields(Array.from(target) as ReflectMessage[], items as ReflectMessage[]);
  target.clear();
  for (const item of items) target.add(item);
}

function copyOfSpec(source: ReflectMessage): ReflectMessage {
  const copy = reflect(source.desc, undefined, false);
  replaceMessage(copy, source, { path: "", named: false, frozen: [] });
  return copy;
}
