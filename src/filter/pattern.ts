/** A value as a filter writes it: the literal pieces between wildcards. One piece is an exact text; `["", ""]` is a lone `*`. */
export type Pattern = readonly string[];

/** A lone `*`: "is there any?". */
export function isAnything(pattern: Pattern): boolean {
  return pattern.length > 1 && pattern.every((piece) => piece === "");
}

/** Matches a whole text in time linear in its length for each piece; there is no backtracking to abuse. */
export function matchesPattern(pattern: Pattern, text: string): boolean {
  const [first = "", ...rest] = pattern;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const piece of rest) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}

/** The pattern that finds `pattern` anywhere in a text: what the has operator means on text. */
export function contains(pattern: Pattern): Pattern {
  return ["", ...pattern, ""];
}

/** As a quoted string of the filter language: its one canonical spelling. */
export function quote(pattern: Pattern): string {
  return `"${pattern.map((piece) => piece.replace(/[\\"*]/g, "\\$&")).join("*")}"`;
}
