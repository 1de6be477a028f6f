import { createContextValues, type ContextValues } from "@connectrpc/connect";
import { background } from "./background.ts";
import { CatalogError } from "./catalog-error.ts";
import { later } from "./timers.ts";

/** How a stream of the service is opened, and when it is given up. */
export interface ListenOptions<Message> {
  readonly open: (options: {
    readonly signal: AbortSignal;
    readonly contextValues: ContextValues;
  }) => AsyncIterable<Message>;
  /** After so long without a message the server counts as gone, in milliseconds. */
  readonly silenceMs: number;
  /** Who listens, for the error of one who has stopped: "the catalog". */
  readonly who: string;
  readonly signal: AbortSignal;
}

/** Takes a stream's messages, which keep no process alive, until it ends; resolves to why it did. What `take` throws ends it. Never rejects. */
export async function listen<Message>(
  { open, silenceMs, who, signal }: ListenOptions<Message>,
  take: (message: Message) => void,
): Promise<Error> {
  const stream = new AbortController();
  const stop = (): void => stream.abort(new CatalogError("CLOSED", `${who} was closed`));
  const silent = (): void => stream.abort(new CatalogError("SILENT", `nothing was heard for ${silenceMs / 1_000} s`));
  signal.addEventListener("abort", stop);
  let cancelWatchdog = later(silenceMs, silent);
  try {
    const contextValues = createContextValues().set(background, true);
    for await (const message of open({ signal: stream.signal, contextValues })) {
      cancelWatchdog();
      cancelWatchdog = later(silenceMs, silent);
      take(message);
    }
    return new CatalogError("STREAM_ENDED", "the server ended the watch without saying why");
  } catch (error) {
    // What the stream says once it is aborted depends on the transport; the reason is ours.
    if (stream.signal.aborted && stream.signal.reason instanceof Error) return stream.signal.reason;
    return error instanceof Error ? error : new Error("the watch failed", { cause: error });
  } finally {
    cancelWatchdog();
    signal.removeEventListener("abort", stop);
    stream.abort();
  }
}
