import { fieldInvalid } from "../rpc/errors.ts";
import type { IndexKeys } from "./index-keys.ts";

/** What an operator sorts by, in order of weight; the last one is always the id, so no two are equal. */
export type SortKey = readonly (string | number)[];

const fields = {
  id: (keys: IndexKeys): string => keys.id,
  display_name: (keys: IndexKeys): string => keys.displayName,
  create_time: (keys: IndexKeys): number => keys.createTime,
  update_time: (keys: IndexKeys): number => keys.updateTime,
} as const;

type FieldName = keyof typeof fields;

/** An order of operators, total whatever was asked for. */
export class ListOrder {
  /** One spelling for all that sort alike. */
  readonly canonical: string;
  readonly #columns: readonly { readonly name: FieldName; readonly descending: boolean }[];

  /** Reads AIP-132's `order_by`. Throws FIELD_INVALID. */
  constructor(orderBy: string) {
    const columns = orderBy.trim() === "" ? [] : orderBy.split(",").map(parseColumn);
    const names = columns.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw orderInvalid(`${twice} is named twice`);
    const upToId = names.includes("id") ? columns.slice(0, names.indexOf("id") + 1) : columns;
    this.#columns = names.includes("id") ? upToId : [...columns, { name: "id", descending: false }];
    this.canonical = this.#columns.map(({ name, descending }) => (descending ? `${name} desc` : name)).join(",");
  }

  /** In how many parts a key is told. */
  get length(): number {
    return this.#columns.length;
  }

  keyOf(keys: IndexKeys): SortKey {
    return this.#columns.map(({ name }) => fields[name](keys));
  }

  /** Negative when `a` comes before `b`. Texts compare by UTF-16 code units. */
  compare(a: SortKey, b: SortKey): number {
    for (const [index, { descending }] of this.#columns.entries()) {
      const [left = "", right = ""] = [a[index], b[index]];
      if (left !== right) return left < right === descending ? 1 : -1;
    }
    return 0;
  }

  /** A key as it travels in a page token. */
  print(key: SortKey): string[] {
    return key.map(String);
  }

  /** The key that `print` wrote; undefined for anything else. */
  parse(texts: readonly string[]): SortKey | undefined {
    const key = this.#columns.map(({ name }, index) => {
      const text = texts[index] ?? "";
      return name === "create_time" || name === "update_time" ? Number(text) : text;
    });
    return key.some((part) => Number.isNaN(part)) ? undefined : key;
  }
}

function parseColumn(text: string): { name: FieldName; descending: boolean } {
  const [, name = "", direction = "asc"] = /^\s*(\S+)(?:\s+(\S+))?\s*$/.exec(text) ?? [];
  if (!isField(name)) {
    throw orderInvalid(
      `${name === "" ? "an empty part" : name} is nothing to sort by; possible are ${Object.keys(fields).join(", ")}`,
    );
  }
  if (direction !== "asc" && direction !== "desc") throw orderInvalid(`after ${name} there may be desc, or nothing`);
  return { name, descending: direction === "desc" };
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(fields, name);
}

function orderInvalid(description: string): Error {
  return fieldInvalid([{ field: "order_by", description }]);
}
