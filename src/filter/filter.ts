import { createHash } from "node:crypto";
import type { IndexKeys } from "../catalog/index-keys.ts";
import { canonicalText, matches, normalise } from "./expression.ts";
import { resolveField } from "./fields.ts";
import { filterInvalid } from "./filter-error.ts";
import { parse } from "./parser.ts";

/** A filter, understood. */
export interface Filter {
  /** The one spelling of all filters that read the same; "" matches every operator. */
  readonly canonical: string;
  /** First 8 bytes of SHA-256 over the canonical text: what a token is bound to. */
  readonly hash: Uint8Array;
  readonly matches: (keys: IndexKeys) => boolean;
}

/** Longest filter, in UTF-16 units; the contract allows 4,096 bytes. */
const MAX_LENGTH = 4096;

/** Understands a filter as the contract's ListOperatorsRequest describes it. Throws FILTER_INVALID with the position. */
export function parseFilter(text: string): Filter {
  if (text.length > MAX_LENGTH) throw filterInvalid(MAX_LENGTH, `a filter is at most ${MAX_LENGTH} characters long`);
  const parsed = parse(text, resolveField);
  if (parsed === undefined) return { canonical: "", hash: hashOf(""), matches: () => true };
  const expression = normalise(parsed);
  const canonical = canonicalText(expression);
  return { canonical, hash: hashOf(canonical), matches: (keys) => matches(expression, keys) };
}

function hashOf(canonical: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(canonical).digest().subarray(0, 8));
}
