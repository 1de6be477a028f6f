import { CatalogError } from "./catalog-error.ts";
import { soon } from "./timers.ts";

/** What a catalog that starts is waited for with. */
export interface Starting {
  readonly timeoutMs: number;
  /** Whether a refusal that only a human can end is the end. */
  readonly failEarly: boolean;
  /** Aborts when the catalog is closed. */
  readonly signal: AbortSignal;
  readonly on: (name: "ready" | "error", listener: () => void) => () => void;
  /** Whether the catalog has a stored state, which will do. */
  readonly hasStored: () => boolean;
  readonly lastError: () => Error | undefined;
}

/** Resolves when the catalog is ready, also with its stored state; rejects with CatalogError NOT_READY or CLOSED. */
export function firstConfiguration(starting: Starting): Promise<void> {
  const { timeoutMs, failEarly, signal, on, hasStored, lastError } = starting;
  return new Promise((resolve, reject) => {
    const settle = (error?: CatalogError): void => {
      for (const undo of undos) undo();
      if (error === undefined) resolve();
      else reject(error);
    };
    const fail = (text: string): void => {
      if (hasStored()) return settle();
      const cause = lastError();
      const why = cause === undefined ? "" : `: ${cause.message}`;
      settle(new CatalogError("NOT_READY", text + why, cause === undefined ? {} : { cause }));
    };
    const closed = (): void => settle(new CatalogError("CLOSED", "the catalog was closed while it started"));
    signal.addEventListener("abort", closed);
    const undos = [
      soon(timeoutMs, () => fail(`no configuration within ${timeoutMs} ms`)),
      on("ready", () => settle()),
      on("error", () => (failEarly ? fail("the service refuses the watch") : undefined)),
      () => signal.removeEventListener("abort", closed),
    ];
  });
}
