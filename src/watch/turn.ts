import type { GiveBack } from "./budget.ts";

/** Waits until a share of a budget is there; sends a sign of life every `everyMs` meanwhile, which the client counts on. */
export async function* turn<Frame>(
  share: Promise<GiveBack>,
  everyMs: number,
  signOfLife: () => Frame,
): AsyncGenerator<Frame, GiveBack, undefined> {
  let giveBack: GiveBack | undefined;
  try {
    while ((giveBack = await within(share, everyMs)) === undefined) yield signOfLife();
    return giveBack;
  } finally {
    // Left at a sign of life: then nobody is there to take it.
    if (giveBack === undefined) {
      share.then(
        (late) => late(),
        () => undefined,
      );
    }
  }
}

/** What the promise resolves to, or undefined if that takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  promise.catch(() => undefined); // whoever waits for it next hears of it, and nobody has to
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
