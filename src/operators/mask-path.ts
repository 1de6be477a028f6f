import type { DescField, DescMessage } from "@bufbuild/protobuf";
import type { FieldViolation } from "../rpc/errors.ts";
import { isOutputOnly } from "./field-options.ts";

/** One step of a path: into a field, or to the entry of the map that the step before named. */
export type MaskStep = { readonly field: DescField } | { readonly key: string };

/** A path of an update mask, resolved against a message type. */
export interface MaskPath {
  readonly text: string;
  readonly steps: readonly MaskStep[];
  /** It names, or leads through, a field that only the service sets. */
  readonly outputOnly: boolean;
}

/** Longest piece of a client's path that an error quotes. */
const QUOTED = 200;

/**
 * Resolves a path such as `connections.main.endpoints.a.host` (AIP-161): fields by their proto names, map entries by their keys; a
 * key with a dot or the like stands between backticks. Lists, times and spans are single values. Returns what is wrong otherwise.
 */
export function parseMaskPath(schema: DescMessage, text: string): MaskPath | FieldViolation {
  const wrong = (description: string): FieldViolation => ({
    field: "update_mask",
    description: `${JSON.stringify(text.slice(0, QUOTED))} ${description}`,
  });
  const segments = splitPath(text);
  if (segments === undefined)
    return wrong("is not a path: write names separated by single dots, odd map keys in backticks");
  const steps: MaskStep[] = [];
  let inside: DescMessage | undefined = schema;
  for (let index = 0; index < segments.length; index += 1) {
    const segment = segments[index] ?? "";
    if (inside === undefined) return wrong(`goes into ${JSON.stringify(segments[index - 1])}, which is a single value`);
    if (segment === "*") return wrong("has a * inside, which only stands alone; name each entry");
    const field: DescField | undefined = inside.fields.find((each) => each.name === segment);
    if (field === undefined) return wrong(unknownField(inside, segment));
    steps.push({ field });
    if (field.fieldKind === "list" && index + 1 < segments.length) {
      return wrong(`goes into ${segment}, which is a list: name the list itself, it is replaced as a whole`);
    }
    const key = segments[index + 1];
    if (field.fieldKind === "map" && key !== undefined) {
      if (key === "*") return wrong("has a * inside, which only stands alone; name each entry");
      steps.push({ key });
      index += 1;
    }
    inside = field.fieldKind === "list" ? undefined : structure(field.message);
  }
  return { text, steps, outputOnly: steps.some((step) => "field" in step && isOutputOnly(step.field)) };
}

/** Times and spans are values, not structures. */
function structure(message: DescMessage | undefined): DescMessage | undefined {
  return message?.typeName.startsWith("google.protobuf.") ? undefined : message;
}

function unknownField(message: DescMessage, segment: string): string {
  const byJsonName = message.fields.find((field) => field.jsonName === segment);
  if (byJsonName !== undefined) return `names no field of ${message.name}; here it is written ${byJsonName.name}`;
  const list = /^(.*)\[.*\]$/.exec(segment)?.[1];
  if (message.fields.some((field) => field.name === list))
    return `names a list's item: name the list, it is replaced as a whole`;
  return `names no field of ${message.name}: it has no ${JSON.stringify(segment.slice(0, QUOTED))}`;
}

/** The names of a path; undefined when it is none. Between backticks a backtick is written twice. */
function splitPath(text: string): string[] | undefined {
  const segment = /(?:`((?:[^`]|``)+)`|([^`.,\s]+))(\.|$)/y;
  const segments: string[] = [];
  while (segment.lastIndex < text.length) {
    const match = segment.exec(text);
    if (match === null) return undefined;
    segments.push(match[1]?.replaceAll("``", "`") ?? match[2] ?? "");
    if (match[3] === "") return segments;
  }
  return undefined;
}
