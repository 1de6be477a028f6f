import type { IndexKeys } from "../catalog/index-keys.ts";

/** One comparison: its canonical text, and what it means. */
export interface Restriction {
  readonly op: "restriction";
  readonly text: string;
  readonly matches: (keys: IndexKeys) => boolean;
}

export type Expression =
  | Restriction
  | { readonly op: "all" | "any"; readonly of: readonly Expression[] }
  | { readonly op: "not"; readonly of: Expression };

/** Whether an operator with these keys is meant. */
export function matches(expression: Expression, keys: IndexKeys): boolean {
  switch (expression.op) {
    case "restriction":
      return expression.matches(keys);
    case "not":
      return !matches(expression.of, keys);
    case "all":
      return expression.of.every((part) => matches(part, keys));
    case "any":
      return expression.of.some((part) => matches(part, keys));
  }
}

/** Flattens, sorts and drops repetitions, so that filters that only differ in spelling end up with one canonical text. */
export function normalise(expression: Expression): Expression {
  switch (expression.op) {
    case "restriction":
      return expression;
    case "not": {
      const of = normalise(expression.of);
      return of.op === "not" ? of.of : { op: "not", of };
    }
    case "all":
    case "any": {
      const { op } = expression;
      const parts = expression.of.map(normalise).flatMap((part) => (part.op === op ? part.of : [part]));
      const byText = new Map(parts.map((part) => [canonicalText(part), part]));
      const of = [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
      const [only] = of;
      return of.length === 1 && only !== undefined ? only : { op, of };
    }
  }
}

/** The text of a normalised expression. OR binds tighter than AND, so only an AND within an OR needs parentheses. */
export function canonicalText(expression: Expression): string {
  switch (expression.op) {
    case "restriction":
      return expression.text;
    case "not":
      return `NOT ${inner(expression.of, "all", "any")}`;
    case "any":
      return expression.of.map((part) => inner(part, "all")).join(" OR ");
    case "all":
      return expression.of.map((part) => inner(part)).join(" AND ");
  }
}

function inner(expression: Expression, ...parenthesised: Expression["op"][]): string {
  const text = canonicalText(expression);
  return parenthesised.includes(expression.op) ? `(${text})` : text;
}
