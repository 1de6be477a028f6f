import { createContextKey, type ContextKey } from "@connectrpc/connect";

/** Context value of a call that nobody waits for: its open connection alone must not keep the process alive. */
export const background: ContextKey<boolean> = createContextKey(false, { description: "background call" });
