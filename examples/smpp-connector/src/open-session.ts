import type { SessionTimers } from "./session-settings.ts";
import { SmppSession, type BindRequest } from "./session.ts";
import { connect } from "./smpp.ts";

export interface SessionOptions extends BindRequest {
  readonly host: string;
  readonly port: number;
  /** Address to connect from; unset: the system's choice. */
  readonly localAddress?: string;
  readonly timers: SessionTimers;
  /** Called when the connection stands and the bind is about to be sent. */
  readonly onConnected?: () => void;
}

/**
 * Connects and binds. Rejects with BindFailedError, or with the signal's reason when it aborts before the bind is
 * answered; whatever came about is unbound and closed then.
 */
export async function openSession(options: SessionOptions, signal: AbortSignal): Promise<SmppSession> {
  signal.throwIfAborted();
  const { host, port, localAddress } = options;
  const session = new SmppSession(
    connect({ host, port, ...(localAddress !== undefined && { localAddress }) }),
    options.timers,
  );
  let asked = false;
  let giveUp: NodeJS.Timeout | undefined;
  const abort = (): void => {
    // Once the vendor was asked its answer is awaited for a while: a session it holds is to be unbound, or it keeps the slot.
    if (asked) giveUp = setTimeout(() => session.close("given up"), options.timers.unbind);
    else session.close("given up");
  };
  signal.addEventListener("abort", abort);
  try {
    await session.connected(options.timers.connect);
    options.onConnected?.();
    asked = true;
    await session.bind(options);
    signal.throwIfAborted();
    return session;
  } catch (error) {
    await session.unbind("not bound");
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(giveUp);
    signal.removeEventListener("abort", abort);
  }
}
