/** A step of the demo is not as it should be; the message says what was expected and what was there. */
export class StepFailed extends Error {
  override readonly name = "StepFailed";
}

/** Throws {@link StepFailed} with the text unless `condition` holds. */
export function expectThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new StepFailed(otherwise);
}

const POLL_INTERVAL = 15;
const TIMEOUT = 60_000;

/** How long to wait, and how often to look, in milliseconds. */
export interface Patience {
  readonly timeoutMs?: number | undefined;
  readonly pollMs?: number | undefined;
}

/**
 * Asks again and again until the answer is neither undefined nor false, and returns it. Rejects with {@link StepFailed} after
 * `timeoutMs` (default 60 s), saying what was awaited, and with the signal's reason when it aborts.
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  signal: AbortSignal,
  { timeoutMs = TIMEOUT, pollMs = POLL_INTERVAL }: Patience = {},
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new StepFailed(`waited ${timeoutMs / 1000} s for this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
