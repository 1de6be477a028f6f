import { AdminStateSchema } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { OperatorKindSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { DescEnum } from "@bufbuild/protobuf";
import type { IndexKeys } from "../catalog/index-keys.ts";
import { covers, coversAny, listsNetwork } from "../catalog/network-coverage.ts";
import type { Restriction } from "./expression.ts";
import { filterInvalid } from "./filter-error.ts";
import type { Comparator } from "./lexer.ts";
import type { Argument, PathPart } from "./parser.ts";
import { contains, isAnything, matchesPattern, quote, type Pattern } from "./pattern.ts";

/** What can be filtered on. Only configuration: a watch must not depend on what is merely observed. */
const POSSIBLE = "possible are id, kind, admin_state, network and labels.<key>";
const LABEL_KEY = /^[a-z][a-z0-9-]{0,62}$/;

/** Gives a comparison its meaning on an operator's index keys. Throws FILTER_INVALID. */
export function resolveField(path: readonly PathPart[], comparator: Comparator, argument: Argument): Restriction {
  const [field, key, beyond] = path;
  if (field === undefined) throw new Error("a path has at least one part");
  if (field.name === "labels") {
    if (beyond !== undefined) throw filterInvalid(beyond.offset, "labels have no fields: write labels.<key>");
    return key === undefined ? anyLabel(field, comparator, argument) : label(key, comparator, argument);
  }
  if (key !== undefined) throw filterInvalid(key.offset, `${field.name} has no fields; ${POSSIBLE}`);
  switch (field.name) {
    case "id":
      return text("id", (keys) => keys.id, comparator, argument);
    case "kind":
      return enumeration(field, OperatorKindSchema, (keys) => keys.kind, comparator, argument);
    case "admin_state":
      return enumeration(field, AdminStateSchema, (keys) => keys.adminState, comparator, argument);
    case "network":
      return network(field, comparator, argument);
    default:
      throw filterInvalid(field.offset, `${field.name} can't be filtered on; ${POSSIBLE}`);
  }
}

function label(key: PathPart, comparator: Comparator, argument: Argument): Restriction {
  if (!LABEL_KEY.test(key.name)) throw filterInvalid(key.offset, `a label's key matches ${LABEL_KEY.source}`);
  return text(`labels.${key.name}`, (keys) => keys.labels.get(key.name), comparator, argument);
}

/** `labels:key`: AIP-160's has on a map. */
function anyLabel(field: PathPart, comparator: Comparator, { pattern, offset }: Argument): Restriction {
  if (comparator !== ":")
    throw filterInvalid(field.offset, "write labels.<key> to compare, or labels:<key> for having one");
  const [key] = pattern;
  if (pattern.length === 1 && key !== undefined)
    return label({ name: key, offset }, ":", { pattern: ["", ""], offset });
  return restriction(`labels : ${quote(pattern)}`, (keys) =>
    keys.labels.keys().some((each) => matchesPattern(pattern, each)),
  );
}

/** AIP-160: an operator without the field matches no comparison at all, not even `!=`; NOT in front says the opposite. */
function text(
  name: string,
  read: (keys: IndexKeys) => string | undefined,
  comparator: Comparator,
  { pattern, offset }: Argument,
): Restriction {
  const where = (test: (value: string) => boolean): Restriction =>
    restriction(`${name} ${comparator} ${quote(pattern)}`, (keys) => {
      const value = read(keys);
      return value !== undefined && test(value);
    });
  switch (comparator) {
    case "=":
      return where((value) => matchesPattern(pattern, value));
    case "!=":
      return where((value) => !matchesPattern(pattern, value));
    case ":": {
      const anywhere = contains(pattern);
      return where((value) => matchesPattern(anywhere, value));
    }
    case "<":
    case "<=":
    case ">":
    case ">=": {
      const [bound] = pattern;
      if (pattern.length !== 1 || bound === undefined) {
        throw filterInvalid(offset, `${comparator} takes no wildcard: write a star as "\\*", or use =`);
      }
      return where((value) => ordered(value, comparator, bound));
    }
  }
}

/** Texts compare by UTF-16 code units, as ids sort in lists. */
function ordered(value: string, comparator: "<" | "<=" | ">" | ">=", bound: string): boolean {
  switch (comparator) {
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
  }
}

function enumeration(
  field: PathPart,
  schema: DescEnum,
  read: (keys: IndexKeys) => number,
  comparator: Comparator,
  { pattern, offset }: Argument,
): Restriction {
  const negated = negates(field, comparator);
  if (comparator === ":" && isAnything(pattern)) return restriction(`${field.name} : "*"`, (keys) => read(keys) !== 0);
  const shortName = (name: string): string => name.slice(schema.sharedPrefix?.length ?? 0);
  const possible = schema.values.filter((value) => value.number !== 0);
  const wanted = possible.find((value) => pattern.length === 1 && shortName(value.name) === pattern[0]);
  if (wanted === undefined) {
    const names = possible.map((value) => shortName(value.name)).join(", ");
    throw filterInvalid(offset, `${pattern.join("*")} is no ${field.name}; possible are ${names}`);
  }
  const name = quote([shortName(wanted.name)]);
  return restriction(
    `${field.name} ${negated ? "!=" : "="} ${name}`,
    (keys) => (read(keys) === wanted.number) !== negated,
  );
}

function network(field: PathPart, comparator: Comparator, { pattern, offset }: Argument): Restriction {
  const negated = negates(field, comparator);
  const test = networkTest(pattern, offset);
  return restriction(`network ${negated ? "!=" : "="} ${quote(pattern)}`, (keys) => test(keys) !== negated);
}

function networkTest(pattern: Pattern, offset: number): (keys: IndexKeys) => boolean {
  if (isAnything(pattern)) return (keys) => coversAny(keys.coverage);
  const [code] = pattern;
  if (pattern.length === 1 && code !== undefined && /^[0-9]{5,6}$/.test(code))
    return (keys) => covers(keys.coverage, code);
  if (pattern.length > 1 && pattern.every((piece) => /^[0-9]*$/.test(piece))) {
    return (keys) => listsNetwork(keys.coverage, (each) => matchesPattern(pattern, each));
  }
  throw filterInvalid(
    offset,
    `${pattern.join("*")} is no network: write MCC and MNC together, 5 or 6 digits, e.g. "26201" or "262*"`,
  );
}

function negates(field: PathPart, comparator: Comparator): boolean {
  if (comparator === "!=") return true;
  if (comparator === "=" || comparator === ":") return false;
  throw filterInvalid(field.offset, `${field.name} has no order: compare it with =, != or :`);
}

function restriction(canonical: string, matches: (keys: IndexKeys) => boolean): Restriction {
  return { op: "restriction", text: canonical, matches };
}
