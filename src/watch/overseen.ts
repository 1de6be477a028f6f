import type { HandlerContext } from "@connectrpc/connect";
import { resetStreamKey } from "../rpc/reset-stream.ts";
import type { OpenWatch, Watchers } from "./watchers.ts";

/** The messages of a watch that is registered from its first to its last, so that it ends when it must, whatever its reader does. */
export async function* overseen<Frame, Message>(
  watchers: Watchers,
  context: Pick<HandlerContext, "signal" | "values">,
  watch: (open: OpenWatch) => AsyncIterable<Frame>,
  messageOf: (frame: Frame) => Message,
): AsyncGenerator<Message, void, undefined> {
  const open = watchers.open(context.signal, context.values.get(resetStreamKey));
  let ending: unknown;
  try {
    for await (const frame of watch(open)) {
      open.handingOver();
      yield messageOf(frame);
      open.handedOver();
    }
  } catch (error) {
    ending = error;
    throw error;
  } finally {
    open.close(ending);
  }
}
