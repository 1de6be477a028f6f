/** The longest delay that setTimeout knows; a longer one would fire at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Runs `action` after `ms` unless the returned function is called first. Never keeps the process alive. */
export function later(ms: number, action: () => void): () => void {
  const timer: unknown = setTimeout(action, Math.min(ms, LONGEST_DELAY_MS));
  unref(timer);
  return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0]);
}

/** As `later`, for what a caller waits for: it keeps the process alive until then. */
export function soon(ms: number, action: () => void): () => void {
  const timer = setTimeout(action, Math.min(ms, LONGEST_DELAY_MS));
  return () => clearTimeout(timer);
}

/** Waits `ms`, or until the signal aborts: it resolves either way, the caller looks at the signal. */
export function pause(ms: number, signal: AbortSignal | undefined, schedule = later): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const finish = (): void => {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = schedule(ms, finish);
    signal?.addEventListener("abort", finish);
  });
}

/** A random delay between 0 and `min(longest, first · 2^attempt)` milliseconds (full jitter); `attempt` counts from 0. */
export function fullJitter(attempt: number, firstMs: number, longestMs: number): number {
  return Math.random() * Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 30));
}

function unref(timer: unknown): void {
  // Only Node's timers are objects that can be unreferenced; elsewhere a timer is a number and holds nothing up.
  if (typeof timer === "object" && timer !== null && "unref" in timer) (timer as { unref(): void }).unref();
}
