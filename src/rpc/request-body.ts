import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { deadlineExceeded } from "./deadline.ts";
import { opsError } from "./errors.ts";

/**
 * A request body that must arrive in time and whose failures are typed: Connect reads a body for as long as it takes, and calls a
 * client that went away an internal error.
 * @param withinMs how long it may take from the first read on; undefined: as long as the call
 */
export function guardedBody(
  body: UniversalServerRequest["body"],
  withinMs: number | undefined,
): UniversalServerRequest["body"] {
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return body;
  return { [Symbol.asyncIterator]: () => guard(body[Symbol.asyncIterator](), withinMs) };
}

function guard(chunks: AsyncIterator<Uint8Array>, withinMs: number | undefined): AsyncIterator<Uint8Array> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => undefined); // it may be late after everything was read
  let timer: NodeJS.Timeout | undefined;
  return {
    async next() {
      if (withinMs !== undefined) timer ??= setTimeout(() => late.reject(deadlineExceeded()), withinMs).unref();
      try {
        const result = await Promise.race([chunks.next(), late.promise]);
        if (result.done === true) clearTimeout(timer);
        return result;
      } catch (error) {
        clearTimeout(timer);
        if (error instanceof ConnectError) throw error;
        throw opsError(ErrorReason.CANCELLED, "the request's body broke off", { cause: error });
      }
    },
    // The underlying stream is left alone: closing it would destroy an HTTP/1 socket before the error that explains it is written.
    return() {
      clearTimeout(timer);
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}
