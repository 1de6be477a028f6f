import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";

// What a coverage entry says, in 32 bits: deny, priority + 1 (15 bits, 0: unset), weight + 1 (16 bits, 0: unset).
const DENY = 0x8000_0000;
const MAX_PRIORITY = 0x7ffe;
const MAX_WEIGHT = 0xfffe;

/** What the entry says. Values beyond any that the contract allows become the largest that fit. */
export function packChoice({ deny, priority, weight }: Pick<CoverageEntry, "deny" | "priority" | "weight">): number {
  const high = priority === undefined ? 0 : Math.min(priority, MAX_PRIORITY) + 1;
  const low = weight === undefined ? 0 : Math.min(weight, MAX_WEIGHT) + 1;
  return (((deny ? DENY : 0) | (high << 16)) + low) >>> 0;
}

export function denies(choice: number): boolean {
  return choice >= DENY;
}

/** The entry's own priority, or undefined. */
export function priorityOf(choice: number): number | undefined {
  const priority = (choice >>> 16) & 0x7fff;
  return priority === 0 ? undefined : priority - 1;
}

/** The entry's own weight, or undefined. */
export function weightOf(choice: number): number | undefined {
  const weight = choice & 0xffff;
  return weight === 0 ? undefined : weight - 1;
}
