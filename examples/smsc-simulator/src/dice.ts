/** Numbers from 0 to below 1 that are the same for the same seed and name, in the order they are asked for. */
export function dice(seed: number, name: string): () => number {
  let state = [...name].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0, seed >>> 0);
  // mulberry32: short, fast, and more than even enough for shares.
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The name whose share `throw_` falls into, or undefined when it falls into none. */
export function pickShare(shares: Readonly<Record<string, number>>, throw_: number): string | undefined {
  let upTo = 0;
  return Object.entries(shares).find(([, share]) => throw_ < (upTo += share))?.[0];
}
