import type { IncomingMessage } from "node:http";
import { constants, type Http2ServerRequest } from "node:http2";
import { createContextKey } from "@connectrpc/connect";

/**
 * Cuts a call's transport off, whatever is still buffered: set by the gate for every call. A peer that doesn't read leaves a streaming
 * handler suspended in its `yield`, where no signal reaches it; only this does.
 */
export const resetStreamKey = createContextKey<() => void>(() => undefined, { description: "reset of the stream" });

/** Resets an HTTP/2 stream, the others of its connection unharmed; ends an HTTP/1 connection. */
export function resetStream(request: IncomingMessage | Http2ServerRequest): void {
  if ("stream" in request) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.socket.destroy();
}
