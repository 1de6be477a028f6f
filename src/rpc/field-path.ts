import type { DescField } from "@bufbuild/protobuf";
import type { Path } from "@bufbuild/protobuf/reflect";

/** A map key as a path shows it (AIP-161): quoted where it isn't a plain word, and cut, because clients may send anything as a key. */
export function pathKey(key: string | number | bigint | boolean): string {
  const text = String(key);
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text;
  return `\`${text.length > 64 ? `${text.slice(0, 63)}…` : text}\``;
}

/** `parent.child`, or the child alone at the root. */
export function joinPath(parent: string, child: string): string {
  return parent === "" ? child : `${parent}.${child}`;
}

/** A reflection path the way an update mask writes it: `connections.main.coverage[3].mccmnc`. A oneof stands for its message. */
export function fieldPath(path: Path): string {
  let text = "";
  for (const element of path) {
    switch (element.kind) {
      case "field":
        text = joinPath(text, element.name);
        break;
      case "list_sub":
        text += `[${element.index}]`;
        break;
      case "map_sub":
        text = joinPath(text, pathKey(element.key));
        break;
      case "extension":
        text = joinPath(text, `[${element.typeName}]`);
        break;
      case "oneof":
        break;
      default:
        element satisfies never;
    }
  }
  return text;
}

/** True for fields whose value must never be printed, logged, audited or quoted: `debug_redact`. */
export function isSecret(field: DescField): boolean {
  return field.proto.options?.debugRedact === true;
}
