/**
 * What the promise comes to, for one who stops waiting at the signal; others may go on waiting for it.
 * @throws what `errorFor` makes of the signal's reason; by default the reason itself
 */
export function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  errorFor: (reason: unknown) => unknown = (reason) => reason,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // What aborts with something else than an error gets that back, as from throwIfAborted.
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
    const onAbort = (): void => reject(errorFor(signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
