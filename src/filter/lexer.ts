import { filterInvalid } from "./filter-error.ts";
import type { Pattern } from "./pattern.ts";

export type Comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":";

interface Place {
  /** Where it begins, in UTF-16 units from 0. */
  readonly offset: number;
  /** Whether white space comes before it. */
  readonly spaced: boolean;
}

/** AIP-160's tokens. `source` is what stood in the filter, for error texts. */
export type Token = Place &
  (
    | { readonly kind: "text" | "string"; readonly source: string; readonly pattern: Pattern }
    | { readonly kind: "comparator"; readonly source: Comparator }
    | { readonly kind: "AND" | "OR" | "NOT" | "(" | ")" | "." | "," | "-" | "end"; readonly source: string }
  );

const space = /[ \t\r\n]*/y;
const comparator = /!=|<=|>=|[=<>:]/y;
const punctuation = /[().,-]/y;
// A minus may stand within a word, not at its start. Control characters, lone surrogates and backslashes need quotes or make no sense at all.
const text = /[^\s\p{Cc}\p{Cs}()=!<>:.,"'\\-][^\s\p{Cc}\p{Cs}()=!<>:.,"'\\]*/uy;
const quoted = /"((?:[^"\\\p{Cc}\p{Cs}]|\\["'\\*])*)"|'((?:[^'\\\p{Cc}\p{Cs}]|\\["'\\*])*)'/uy;

/** Cuts a filter into tokens, the last of which is `end`. Throws FILTER_INVALID. */
export function tokenize(filter: string): Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = offset;
    const match = pattern.exec(filter) ?? undefined;
    offset += match?.[0].length ?? 0;
    return match;
  };
  for (;;) {
    const spaced = take(space)?.[0] !== "";
    const place: Place = { offset, spaced };
    if (offset >= filter.length) {
      tokens.push({ ...place, kind: "end", source: "the end" });
      return tokens;
    }
    tokens.push(nextToken(take, place) ?? fail(filter, offset));
  }
}

function nextToken(take: (pattern: RegExp) => RegExpExecArray | undefined, place: Place): Token | undefined {
  let match = take(comparator);
  if (match !== undefined) return { ...place, kind: "comparator", source: match[0] as Comparator };
  match = take(punctuation);
  if (match !== undefined) return { ...place, kind: match[0] as "(" | ")" | "." | "," | "-", source: match[0] };
  match = take(quoted);
  if (match !== undefined) {
    return { ...place, kind: "string", source: match[0], pattern: unescape(match[1] ?? match[2] ?? "") };
  }
  match = take(text);
  if (match === undefined) return undefined;
  const [source] = match;
  if (source === "AND" || source === "OR" || source === "NOT") return { ...place, kind: source, source };
  return { ...place, kind: "text", source, pattern: source.split("*") };
}

/** The pieces between unescaped stars of a quoted string's inside. */
function unescape(inside: string): Pattern {
  const pieces = [""];
  for (const part of inside.match(/\\.|[^\\]/gsu) ?? []) {
    if (part === "*") pieces.push("");
    else pieces[pieces.length - 1] += part.length > 1 && part.startsWith("\\") ? part.slice(1) : part;
  }
  return pieces;
}

function fail(filter: string, offset: number): never {
  const character = filter.charAt(offset);
  if (character === '"' || character === "'") {
    const text = "this string has no end, or holds a control character or an escape other than \\\" \\' \\\\ \\*";
    throw filterInvalid(offset, text);
  }
  if (character === "!") throw filterInvalid(offset, "a lone ! means nothing: write NOT, or != to compare");
  const shown = /[\p{Cc}\p{Cs}]/u.test(character)
    ? `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`
    : character;
  throw filterInvalid(offset, `${shown} can't stand outside quotes`);
}
