/** What came from outside is not as it must be; the message begins with the field's path and quotes no value. */
export class InvalidFieldError extends Error {
  override readonly name = "InvalidFieldError";
}

/** Returns `value` as what it was found to be, or throws {@link InvalidFieldError}, naming `path`. */
export type Check<T> = (value: unknown, path: string) => T;

type Shape = { readonly [key: string]: Check<unknown> };
type Checked<S extends Shape, R extends keyof S> = { readonly [K in R]: ReturnType<S[K]> } & {
  readonly [K in Exclude<keyof S, R>]?: ReturnType<S[K]>;
};

/** An object with these fields and no other; those not in `required` may be left out. */
export function object<S extends Shape, R extends keyof S & string = never>(
  shape: S,
  required: readonly R[] = [],
): Check<Checked<S, R>> {
  return (value, path) => {
    const fields = entries(value, path);
    const missing = required.find((key) => !fields.some(([name]) => name === key));
    if (missing !== undefined) throw new InvalidFieldError(`${join(path, missing)} is missing`);
    const checked = fields.map(([key, field]) => {
      const check = Object.hasOwn(shape, key) ? shape[key] : undefined;
      if (!check) throw new InvalidFieldError(`${join(path, key)} is not known; ${listed(Object.keys(shape))}`);
      return [key, check(field, join(path, key))] as const;
    });
    return Object.fromEntries(checked) as Checked<S, R>;
  };
}

/** An object whose keys are names of one kind and whose values are shares of 1, together 1 at most. */
export function shares(isName: (key: string) => boolean, kind: string): Check<Readonly<Record<string, number>>> {
  return (value, path) => {
    const checked = entries(value, path).map(([key, field]) => {
      if (!isName(key)) throw new InvalidFieldError(`${join(path, key)} is not ${kind}`);
      return [key, share(field, join(path, key))] as const;
    });
    const sum = checked.reduce((before, [, field]) => before + field, 0);
    if (sum > 1 + 1e-9) throw new InvalidFieldError(`the shares in ${path} add up to more than 1`);
    return Object.fromEntries(checked);
  };
}

export function number(min: number, max: number, what = "a number"): Check<number> {
  return (value, path) => {
    if (typeof value === "number" && value >= min && value <= max) return value;
    throw new InvalidFieldError(`${path} must be ${what} from ${min} to ${max}`);
  };
}

export function integer(min: number, max: number): Check<number> {
  const inRange = number(min, max, "a whole number");
  return (value, path) => inRange(Number.isInteger(value) ? value : undefined, path);
}

export function oneOf<const Name extends string>(...names: readonly Name[]): Check<Name> {
  return (value, path) => {
    const name = names.find((each) => each === value);
    if (name === undefined) throw new InvalidFieldError(`${path} must be one of ${names.join(", ")}`);
    return name;
  };
}

export const share: Check<number> = number(0, 1, "a share");

/** A day at most. */
export const seconds: Check<number> = number(0, 86_400, "seconds");

export const flag: Check<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw new InvalidFieldError(`${path} must be true or false`);
};

/** Printable ASCII, as everything in SMPP that is not a message. */
export function ascii(min: number, max: number): Check<string> {
  return (value, path) => {
    if (typeof value === "string" && value.length >= min && value.length <= max && /^[ -~]*$/.test(value)) return value;
    throw new InvalidFieldError(`${path} must be ${min} to ${max} printable ASCII characters`);
  };
}

function entries(value: unknown, path: string): [string, unknown][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw new InvalidFieldError(`${path === "" ? "it" : path} must be a JSON object`);
}

function join(path: string, key: string): string {
  return path === "" || path.endsWith(": ") ? path + key : `${path}.${key}`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "no field is" : `there are ${names.join(", ")}`;
}
