import { ScalarType, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { FieldViolation } from "./errors.ts";
import { joinPath, pathKey } from "./field-path.ts";

/**
 * What no text of a request may hold, wherever it stands: NUL (PostgreSQL and C strings end there), lone surrogates (no UTF-8 for
 * them), and map keys that JavaScript objects have a meaning for, which would make a client's map behave unlike a map.
 */
export function textViolations(schema: DescMessage, message: Message): FieldViolation[] {
  const violations: FieldViolation[] = [];
  walkMessage(schema, message, "", violations);
  return violations;
}

function walkMessage(
  schema: DescMessage,
  message: Readonly<Record<string, unknown>>,
  path: string,
  violations: FieldViolation[],
): void {
  for (const field of schema.fields) {
    const value = valueOf(field, message);
    if (value === undefined || value === null) continue;
    const fieldPath = joinPath(path, field.name);
    switch (field.fieldKind) {
      case "list":
        if (field.listKind === "enum" || (field.listKind === "scalar" && field.scalar !== ScalarType.STRING)) break;
        (value as readonly unknown[]).forEach((item, index) => {
          walkValue(field.message, item, `${fieldPath}[${index}]`, violations);
        });
        break;
      case "map":
        for (const [key, item] of Object.entries(value)) {
          const entryPath = joinPath(fieldPath, pathKey(key));
          checkKey(key, entryPath, violations);
          walkValue(field.message, item, entryPath, violations);
        }
        break;
      case "message":
        walkValue(field.message, value, fieldPath, violations);
        break;
      case "scalar":
        walkValue(undefined, value, fieldPath, violations);
        break;
      case "enum":
        break;
      default:
        field satisfies never;
    }
  }
}

function walkValue(schema: DescMessage | undefined, value: unknown, path: string, violations: FieldViolation[]): void {
  if (schema !== undefined) walkMessage(schema, value as Readonly<Record<string, unknown>>, path, violations);
  else if (typeof value === "string") checkText(value, path, violations);
}

function valueOf(field: DescField, message: Readonly<Record<string, unknown>>): unknown {
  if (field.oneof === undefined) return message[field.localName];
  const oneof = message[field.oneof.localName] as { case?: string; value?: unknown };
  return oneof.case === field.localName ? oneof.value : undefined;
}

function checkText(text: string, field: string, violations: FieldViolation[]): void {
  if (text.includes("\0")) violations.push({ field, description: "holds a NUL character; remove it" });
  if (!text.isWellFormed())
    violations.push({ field, description: "holds a lone surrogate, which is no character; remove it" });
}

function checkKey(key: string, field: string, violations: FieldViolation[]): void {
  checkText(key, field, violations);
  if (key in Object.prototype) violations.push({ field, description: "is a reserved word; choose another key" });
}
