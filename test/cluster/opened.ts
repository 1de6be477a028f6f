import { ClosingStack } from "../../src/closing-stack.ts";

/** What `open` returns, with everything it pushed closed at its disposal, or at once when `open` fails. */
export async function opened<T extends object>(
  open: (closing: ClosingStack) => Promise<T>,
): Promise<T & AsyncDisposable> {
  const closing = new ClosingStack();
  try {
    // Not a copy, which would freeze its getters.
    return Object.assign(await open(closing), { [Symbol.asyncDispose]: () => closing.close() });
  } catch (error) {
    await closing.close();
    throw error;
  }
}
