import type { Expression, Restriction } from "./expression.ts";
import { filterInvalid } from "./filter-error.ts";
import { tokenize, type Comparator, type Token } from "./lexer.ts";
import type { Pattern } from "./pattern.ts";

/** One name of a field's path, and where it stands. */
export interface PathPart {
  readonly name: string;
  readonly offset: number;
}

/** What the right side of a comparison says, and where it stands. */
export interface Argument {
  readonly pattern: Pattern;
  readonly offset: number;
}

/** Gives a comparison its meaning, or throws FILTER_INVALID because this field, comparator or value is not possible. */
export type Resolve = (path: readonly PathPart[], comparator: Comparator, argument: Argument) => Restriction;

/** Deeper nesting than this is FILTER_INVALID: the parser recurses. */
const MAX_DEPTH = 20;

/** Parses AIP-160's grammar, whole: factors side by side are an AND, and OR binds tighter than AND. Throws FILTER_INVALID. */
export function parse(filter: string, resolve: Resolve): Expression | undefined {
  const cursor = new Cursor(tokenize(filter));
  if (cursor.peek.kind === "end") return undefined;
  const parsed = expression(cursor, resolve, 0);
  const rest = cursor.take();
  if (rest.kind === ")") throw filterInvalid(rest.offset, "this parenthesis was never opened");
  if (rest.kind !== "end") throw unexpected(rest);
  return parsed;
}

class Cursor {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get peek(): Token {
    return this.ahead(0);
  }

  ahead(count: number): Token {
    const token = this.#tokens[this.#at + count] ?? this.#tokens.at(-1);
    if (token === undefined) throw new Error("a token list always ends in `end`");
    return token;
  }

  take(): Token {
    const token = this.peek;
    this.#at++;
    return token;
  }

  takeIf(kind: Token["kind"]): Token | undefined {
    return this.peek.kind === kind ? this.take() : undefined;
  }
}

/** `expression : sequence {AND sequence}` and `sequence : factor {factor}`: both mean that all must hold. */
function expression(cursor: Cursor, resolve: Resolve, depth: number): Expression {
  const of = [factor(cursor, resolve, depth)];
  for (;;) {
    if (cursor.takeIf("AND") !== undefined) of.push(factor(cursor, resolve, depth));
    else if (startsTerm(cursor.peek)) {
      if (!cursor.peek.spaced) throw filterInvalid(cursor.peek.offset, "put AND, OR or a space before this");
      of.push(factor(cursor, resolve, depth));
    } else return { op: "all", of };
  }
}

/** `factor : term {OR term}` */
function factor(cursor: Cursor, resolve: Resolve, depth: number): Expression {
  const of = [term(cursor, resolve, depth)];
  while (cursor.takeIf("OR") !== undefined) of.push(term(cursor, resolve, depth));
  return { op: "any", of };
}

/** `term : [NOT | "-"] simple` and `simple : restriction | "(" expression ")"` */
function term(cursor: Cursor, resolve: Resolve, depth: number): Expression {
  const negation = cursor.takeIf("NOT") ?? cursor.takeIf("-");
  if (negation !== undefined) return { op: "not", of: simple(cursor, resolve, depth) };
  return simple(cursor, resolve, depth);
}

function simple(cursor: Cursor, resolve: Resolve, depth: number): Expression {
  const open = cursor.takeIf("(");
  if (open === undefined) return restriction(cursor, resolve);
  if (depth >= MAX_DEPTH) throw filterInvalid(open.offset, `parentheses are nested deeper than ${MAX_DEPTH}`);
  if (cursor.peek.kind === ")") throw filterInvalid(cursor.peek.offset, "these parentheses are empty");
  const inside = expression(cursor, resolve, depth + 1);
  if (cursor.takeIf(")") !== undefined) return inside;
  if (cursor.peek.kind === "end") throw filterInvalid(open.offset, "this parenthesis is never closed");
  throw unexpected(cursor.peek);
}

/** `restriction : member comparator arg`. AIP-160 lets a service refuse values without a field, and functions: this one does. */
function restriction(cursor: Cursor, resolve: Resolve): Restriction {
  const path = member(cursor);
  const [first] = path;
  const operator = cursor.take();
  if (operator.kind !== "comparator") {
    const hint = /^(and|or|not)$/i.test(first.name) ? "; AND, OR and NOT are written in capitals" : "";
    throw filterInvalid(first.offset, `a comparison is missing: write field = value${hint}`);
  }
  return resolve(path, operator.source, argument(cursor));
}

/** `member : value {"." field}` */
function member(cursor: Cursor): [PathPart, ...PathPart[]] {
  const first = cursor.take();
  if (first.kind !== "text" && first.kind !== "string") throw unexpected(first);
  const path: [PathPart, ...PathPart[]] = [{ name: wordOf(first), offset: first.offset }];
  while (cursor.takeIf(".") !== undefined) {
    const part = cursor.take();
    if (!isName(part)) throw unexpected(part);
    path.push({ name: wordOf(part), offset: part.offset });
  }
  refuseFunction(cursor, first.offset);
  return path;
}

/** `arg : comparable`; dots belong to an unquoted value (`1.2`), and so does a minus before it. */
function argument(cursor: Cursor): Argument {
  const { offset } = cursor.peek;
  if (cursor.peek.kind === "(") {
    throw filterInvalid(offset, "a value can't be in parentheses: repeat the field, as in kind = MNO OR kind = HUB");
  }
  const minus = cursor.peek.kind === "-" && !cursor.ahead(1).spaced ? cursor.take().source : "";
  const first = cursor.take();
  if (first.kind !== "text" && first.kind !== "string") throw unexpected(first);
  let pattern: Pattern = minus === "" ? first.pattern : concat([minus], first.pattern);
  while (cursor.peek.kind === "." && !cursor.peek.spaced) {
    cursor.take();
    const part = cursor.take();
    if (!isName(part) || part.spaced) throw unexpected(part);
    pattern = concat(concat(pattern, ["."]), "pattern" in part ? part.pattern : [part.source]);
  }
  refuseFunction(cursor, offset);
  return { pattern, offset };
}

function refuseFunction(cursor: Cursor, offset: number): void {
  if (cursor.peek.kind === "(" && !cursor.peek.spaced) throw filterInvalid(offset, "there are no functions here");
}

function concat(left: Pattern, right: Pattern): Pattern {
  return [...left.slice(0, -1), (left.at(-1) ?? "") + (right[0] ?? ""), ...right.slice(1)];
}

function startsTerm({ kind }: Token): boolean {
  return kind === "text" || kind === "string" || kind === "NOT" || kind === "(" || kind === "-";
}

/** After a dot, keywords are names like any other. */
function isName({ kind }: Token): boolean {
  return kind === "text" || kind === "string" || kind === "AND" || kind === "OR" || kind === "NOT";
}

function wordOf(token: Token): string {
  return token.kind === "string" ? token.pattern.join("*") : token.source;
}

function unexpected(token: Token): Error {
  if (token.kind === "end") return filterInvalid(token.offset, "the filter ends too early");
  return filterInvalid(token.offset, `${token.source} is not expected here`);
}
