import { reflect, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { joinPath, pathKey } from "../rpc/field-path.ts";
import { fieldInvalid, opsError, type FieldViolation } from "../rpc/errors.ts";
import { copyOf } from "./canonical.ts";
import { parseMaskPath, type MaskPath, type MaskStep } from "./mask-path.ts";
import { mergeMessage, replaceEntry, replaceField, replaceMessage } from "./merge.ts";

/** Most paths of one mask. */
const MAX_PATHS = 1_000;

/**
 * The operator with the configuration of `given` that the mask names (AIP-134, AIP-161): a named field that is not set in `given` is
 * cleared, `*` names the whole configuration, and no mask names what is set, entry by entry. Output-only fields and those of a newer
 * version stay. Returns a copy.
 * @throws FIELD_INVALID for paths that name nothing, FIELD_IMMUTABLE for fields that can't change; both list them all
 */
export function mergeByMask(current: Operator, given: Operator, mask: readonly string[]): Operator {
  const merged = copyOf(current);
  const [target, source] = [reflect(OperatorSchema, merged, false), reflect(OperatorSchema, given, false)];
  const problems: Problems = { invalid: [], frozen: [] };
  if (mask.length === 0) mergeMessage(target, source, { path: "", named: false, frozen: problems.frozen });
  else if (mask.length === 1 && mask[0] === "*") {
    replaceMessage(target, source, { path: "", named: false, frozen: problems.frozen });
  } else {
    for (const path of parseMask(mask, problems)) mergePath(target, source, path, problems);
  }
  if (problems.invalid.length > 0) throw fieldInvalid(problems.invalid);
  if (problems.frozen.length > 0) throw fieldImmutable(problems.frozen);
  return merged;
}

interface Problems {
  readonly invalid: FieldViolation[];
  readonly frozen: FieldViolation[];
}

/** The mask's paths without those that another one includes. */
function parseMask(mask: readonly string[], problems: Problems): MaskPath[] {
  if (mask.length > MAX_PATHS) {
    problems.invalid.push({
      field: "update_mask",
      description: `${mask.length} paths are above the limit of ${MAX_PATHS}`,
    });
    return [];
  }
  if (mask.includes("*")) {
    problems.invalid.push({ field: "update_mask", description: "* names the whole configuration: give it alone" });
    return [];
  }
  const paths: MaskPath[] = [];
  for (const text of new Set(mask)) {
    const path = parseMaskPath(OperatorSchema, text);
    if (!("steps" in path)) problems.invalid.push(path);
    else if (path.outputOnly)
      problems.frozen.push({ field: text, description: "is set by the service; leave it out of the mask" });
    else paths.push(path);
  }
  return paths.filter((path) => !paths.some((other) => other !== path && includes(other, path)));
}

function includes(outer: MaskPath, inner: MaskPath): boolean {
  return (
    outer.steps.length < inner.steps.length &&
    outer.steps.every((step, index) => nameOf(step) === nameOf(inner.steps[index] ?? step))
  );
}

function nameOf(step: MaskStep): string {
  return "field" in step ? step.field.name : step.key;
}

function mergePath(
  operator: ReflectMessage,
  given: ReflectMessage,
  { text, steps }: MaskPath,
  problems: Problems,
): void {
  let target = operator;
  let source: ReflectMessage | undefined = given;
  let path = "";
  for (let index = 0; ; index += 1) {
    const [step, next, beyond] = [steps[index], steps[index + 1], steps[index + 2]];
    if (step === undefined || !("field" in step)) return;
    const { field } = step;
    path = joinPath(path, field.name);
    const at = { path, named: true, frozen: problems.frozen };
    if (next === undefined) {
      replaceField(target, source, field, at);
      return;
    }
    if (field.fieldKind === "map" && "key" in next) {
      const [entries, givenEntries]: [ReflectMap, ReflectMap | undefined] = [target.get(field), source?.get(field)];
      const key = existingKey(next.key, entries, givenEntries);
      if (beyond === undefined) {
        replaceEntry(entries, givenEntries, key, at);
        return;
      }
      path = joinPath(path, pathKey(key));
      const [entry, givenEntry] = [entries.get(key), givenEntries?.get(key)] as (ReflectMessage | undefined)[];
      if (entry === undefined && givenEntry === undefined) {
        const description = `${JSON.stringify(text.slice(0, 200))} leads into ${path}, which is neither stored nor given`;
        problems.invalid.push({ field: "update_mask", description });
        return;
      }
      target = entry ?? reflect((givenEntry as ReflectMessage).desc, undefined, false);
      if (entry === undefined) entries.set(key, target);
      source = givenEntry;
      index += 1;
    } else if (field.fieldKind === "message") {
      const givenMessage: ReflectMessage | undefined = source?.isSet(field) ? source.get(field) : undefined;
      if (!target.isSet(field)) {
        if (givenMessage === undefined) return; // to clear something inside what isn't there
        target.set(field, reflect(field.message, undefined, false));
      }
      target = target.get(field);
      source = givenMessage;
    }
  }
}

/**
 * A key that stands in one of the maps. JSON writes masks in lowerCamelCase, and decoding turns every capital into `_` and its small
 * letter, in keys too: `statusMap.DELIVRD` arrives as `status_map._d_e_l_i_v_r_d`.
 */
function existingKey(key: string, ...maps: (ReflectMap | undefined)[]): string {
  const capitals = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return [key, capitals].find((each) => maps.some((map) => map?.has(each))) ?? key;
}

function fieldImmutable(frozen: readonly FieldViolation[]): Error {
  const [first] = frozen;
  const more = frozen.length > 1 ? ` (and ${frozen.length - 1} more)` : "";
  const text = `${first?.field ?? ""}: ${first?.description ?? ""}${more}`;
  return opsError(ErrorReason.FIELD_IMMUTABLE, text, { violations: frozen, metadata: { field: first?.field ?? "" } });
}
