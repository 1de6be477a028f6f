import { getOption, type DescField, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { reflect, type Path } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { field as rulesOption } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Interceptor } from "@connectrpc/connect";
import { fieldInvalid, type FieldViolation } from "./errors.ts";
import { fieldPath, isSecret } from "./field-path.ts";
import { textViolations } from "./text-rules.ts";

/** Compiles the rules of a message type once and keeps them. */
const validator = createValidator();

/**
 * Every rule of the contract (`buf.validate`) that a message breaks. Paths are written as update masks write them
 * (`connections.main.coverage[3].mccmnc`); texts say what is wrong and what to do. They quote numbers only, and none of a `debug_redact`
 * field: a text may be a password that was put into the wrong field.
 * @throws Error when a rule itself is broken, which is a defect of the contract
 */
export function violationsOf<D extends DescMessage>(schema: D, message: MessageShape<D>): FieldViolation[] {
  const result = validator.validate(schema, message);
  if (result.kind === "valid") return [];
  if (result.kind === "error") throw result.error;
  return result.violations.map((violation) => describe(schema, message, violation));
}

/**
 * Lets only valid requests through; each message of a stream counts.
 * @throws FIELD_INVALID with all violations
 */
export const validate: Interceptor = (next) => (request) => {
  const check = <D extends DescMessage>(schema: D, message: MessageShape<D>): MessageShape<D> => {
    const textual = textViolations(schema, message);
    // A text that is none breaks the rules about its content too; one reason is enough.
    const violations = textual.length > 0 ? textual : violationsOf(schema, message);
    if (violations.length > 0) throw fieldInvalid(violations);
    return message;
  };
  if (!request.stream) {
    check(request.method.input, request.message);
    return next(request);
  }
  async function* checked(): AsyncIterable<MessageShape<DescMessage>> {
    for await (const message of request.message as AsyncIterable<MessageShape<DescMessage>>) {
      yield check(request.method.input, message);
    }
  }
  return next({ ...request, message: checked() });
};

function describe(schema: DescMessage, message: MessageShape<DescMessage>, violation: Violation): FieldViolation {
  const path = fieldPath(violation.field);
  const last = violation.field.at(-1);
  if (last?.kind === "oneof") {
    const names = last.fields.map((field) => field.name).join(", ");
    return { field: path === "" ? last.name : path, description: `set one of ${names}` };
  }
  const field = violation.field.findLast((element) => element.kind === "field");
  if (violation.ruleId === "required") return { field: path, description: "is required" };
  const value =
    isSecretPath(violation.field) || violation.forKey ? undefined : numberAt(schema, message, violation.field);
  if (value === undefined || field === undefined) return { field: path, description: plainText(violation) };
  return { field: path, description: `${value} ${rangeText(value, field, violation) ?? plainText(violation)}` };
}

function plainText(violation: Violation): string {
  return violation.message.replace("regex pattern", "the pattern");
}

/** A field inside a secret message is as secret as the message. */
function isSecretPath(path: Path): boolean {
  return path.some((element) => element.kind === "field" && isSecret(element));
}

/** The value that a path leads to, if it is a number. */
function numberAt(schema: DescMessage, message: MessageShape<DescMessage>, path: Path): number | bigint | undefined {
  let at: unknown = reflect(schema, message);
  for (const element of path) {
    // What a path of protovalidate leads through has the method that the element calls for.
    if (element.kind === "field") at = (at as { get(field: DescField): unknown }).get(element);
    else if (element.kind === "list_sub") at = (at as { get(index: number): unknown }).get(element.index);
    else if (element.kind === "map_sub") at = (at as { get(key: unknown): unknown }).get(element.key);
    else return undefined;
  }
  return typeof at === "number" || typeof at === "bigint" ? at : undefined;
}

interface Bounds {
  readonly lessThan?: { readonly case?: string; readonly value?: number | bigint };
  readonly greaterThan?: { readonly case?: string; readonly value?: number | bigint };
}

/** `is above 1000 (1 to 1000)` for a number outside its bounds: shorter than protovalidate's text, and with both ends. */
function rangeText(value: number | bigint, field: DescField, violation: Violation): string | undefined {
  const { lessThan: upper, greaterThan: lower } = boundsOf(field, violation.rule);
  if (upper?.case === "lte" && upper.value !== undefined && value > upper.value) {
    return `is above ${upper.value}${rangeHint(lower, upper)}`;
  }
  if (lower?.case === "gte" && lower.value !== undefined && value < lower.value) {
    return `is below ${lower.value}${rangeHint(lower, upper)}`;
  }
  return undefined;
}

function rangeHint(lower: Bounds["greaterThan"], upper: Bounds["lessThan"]): string {
  if (lower?.case !== "gte" || upper?.case !== "lte") return "";
  return ` (${lower.value} to ${upper.value})`;
}

/** The message of rules that holds the broken one, e.g. the field's `uint32`, or its `repeated.items.uint32`. */
function boundsOf(field: DescField, rule: Path): Bounds {
  let rules: unknown = getOption(field, rulesOption);
  for (const element of rule.slice(0, -1)) {
    if (element.kind !== "field" || typeof rules !== "object" || rules === null) return {};
    const container = rules as Record<string, unknown>;
    rules =
      element.oneof === undefined
        ? container[element.localName]
        : (container[element.oneof.localName] as { value?: unknown } | undefined)?.value;
  }
  return typeof rules === "object" && rules !== null ? rules : {};
}
