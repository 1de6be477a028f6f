/** Reproducible randomness for one seed (mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** An integer in [from, to). */
  integer(from: number, to: number): number;
  pick<T>(values: readonly T[]): T;
}

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const integer = (from: number, to: number): number => from + Math.floor(next() * (to - from));
  return {
    next,
    integer,
    pick: <T>(values: readonly T[]): T => {
      if (values.length === 0) throw new RangeError("nothing to pick from");
      return values[integer(0, values.length)] as T;
    },
  };
}
