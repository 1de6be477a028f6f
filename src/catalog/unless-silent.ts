/** Nothing came for too long from whom something was awaited. */
export class SilentError extends Error {
  constructor(ms: number) {
    super(`nothing heard for ${ms} ms`);
    this.name = "SilentError";
  }
}

/**
 * What `work` resolves to; rejects with a SilentError once it has neither ended nor called `progress` for `ms`, or with the signal's reason.
 * The work itself can't be stopped: what it does afterwards nobody hears of, so it must change nothing.
 */
export async function unlessSilent<T>(
  ms: number,
  signal: AbortSignal,
  work: (progress: () => void) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new SilentError(ms)), ms);
  const aborted = (): void => reject(signal.reason);
  signal.addEventListener("abort", aborted);
  const result = work(() => timer.refresh());
  result.catch(() => undefined); // when it is given up
  try {
    return await Promise.race([result, ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", aborted);
  }
}
