import {
  createRegistry,
  isMessage,
  toJson,
  type DescField,
  type DescFile,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { file_ops_v1_event } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { isSecret } from "./field-path.ts";

/** Every message type of the contract, and of what it imports. */
const contract = createRegistry(...withImports([OperatorAdminService.file, OperatorService.file, file_ops_v1_event]));

function withImports(files: readonly DescFile[], all = new Set<DescFile>()): Set<DescFile> {
  for (const file of files) {
    if (all.has(file)) continue;
    all.add(file);
    withImports(file.dependencies, all);
  }
  return all;
}

/**
 * A message as JSON for people and logs: fields with `debug_redact` are left out, at any depth, whether set or not. A type that the
 * contract doesn't know shows its name alone.
 */
export function redacted(message: Message): JsonObject {
  const schema = contract.getMessage(message.$typeName);
  return schema === undefined ? { "@type": message.$typeName } : redactedMessage(reflect(schema, message));
}

/** Most paths that a log line lists. */
const MAX_PATHS = 100;

/**
 * The paths of the fields that a message sets, as update masks write them, without any value: a filter, a note or an id may hold a
 * password that was put into the wrong field.
 */
export function setPaths(message: Message): string[] {
  const schema = contract.getMessage(message.$typeName);
  if (schema === undefined) return [];
  const paths: string[] = [];
  const walk = (within: ReflectMessage, prefix: string): void => {
    for (const field of within.fields) {
      if (!within.isSet(field) || paths.length >= MAX_PATHS) continue;
      const path = `${prefix}${field.name}`;
      if (field.fieldKind === "message" && !isSecret(field)) walk(within.get(field), `${path}.`);
      else paths.push(path);
    }
  };
  walk(reflect(schema, message), "");
  return paths;
}

function redactedMessage(message: ReflectMessage): JsonObject {
  const json: JsonObject = {};
  for (const field of message.fields) {
    if (isSecret(field) || !message.isSet(field)) continue;
    json[field.name] = redactedField(message, field);
  }
  return json;
}

function redactedField(message: ReflectMessage, field: DescField): JsonValue {
  switch (field.fieldKind) {
    case "message":
      return redactedValue(field.message, message.get(field));
    case "list":
      return Array.from(message.get(field), (item) => redactedValue(field.message, item));
    case "map":
      return Object.fromEntries(
        Array.from(message.get(field), ([key, value]) => [String(key), redactedValue(field.message, value)]),
      );
    case "enum":
      return field.enum.value[message.get(field)]?.name ?? message.get(field);
    case "scalar":
      return redactedValue(undefined, message.get(field));
    default:
      return field satisfies never;
  }
}

function redactedValue(schema: DescMessage | undefined, value: unknown): JsonValue {
  if (schema !== undefined) {
    const message = value as ReflectMessage;
    // Times, spans and masks read best the way JSON writes them; none of them can hold a secret.
    if (schema.typeName.startsWith("google.protobuf.")) return wellKnown(schema, message.message);
    return redactedMessage(message);
  }
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  return value as JsonValue;
}

function wellKnown(schema: DescMessage, message: Message): JsonValue {
  try {
    return toJson(schema, message);
  } catch {
    return "out of range"; // a log line never fails because of what a client sent
  }
}

/** Longest text of a logged error, in UTF-16 units. */
const MAX_ERROR_TEXT = 2_000;

/** How deep a logged value goes. */
const MAX_DEPTH = 5;

/** Options for pino that make it safe to log anything of ours: every line goes through `loggable`. */
export const safeLogging: {
  formatters: { log: (line: Record<string, unknown>) => Record<string, unknown> };
  serializers: { err: (value: unknown) => unknown };
} = {
  formatters: {
    log: (line) =>
      isMessage(line)
        ? redacted(line)
        : Object.fromEntries(Object.entries(line).map(([key, value]) => [key, loggable(value)])),
  },
  // Pino's own serializer for `err` prints every property; what comes here went through the formatter already.
  serializers: { err: (value) => value },
};

/**
 * What a log may show of a value: messages lose their secret fields, and errors show their type, text, code, stack and causes but none
 * of the properties that libraries hang on them (requests, tokens, parameters).
 */
export function loggable(value: unknown, depth = 0): unknown {
  if (isMessage(value)) return redacted(value);
  if (value instanceof Error) return loggableError(value, depth);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "…";
  if (Array.isArray(value)) return value.map((item) => loggable(item, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, loggable(item, depth + 1)]));
}

function loggableError(error: Error, depth: number): Record<string, unknown> {
  const code: unknown = "code" in error ? error.code : undefined;
  return {
    type: error.name,
    message: error.message.slice(0, MAX_ERROR_TEXT),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    stack: error.stack?.slice(0, 2 * MAX_ERROR_TEXT),
    ...(error.cause instanceof Error && depth < MAX_DEPTH ? { cause: loggableError(error.cause, depth + 1) } : {}),
  };
}
