import { setTimeout } from "node:timers/promises";

/**
 * Resolves once the condition holds, asking again and again; a condition that throws doesn't hold yet.
 * @param what for the error: "the replica is streaming"
 * @throws Error with the last problem as its cause when it still doesn't hold after `patience` milliseconds
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  patience = 30_000,
): Promise<void> {
  const end = Date.now() + patience;
  let problem: unknown;
  do {
    try {
      if (await condition()) return;
    } catch (error) {
      problem = error;
    }
    await setTimeout(20);
  } while (Date.now() < end);
  throw new Error(`waited ${patience} ms in vain until ${what}`, { cause: problem });
}
