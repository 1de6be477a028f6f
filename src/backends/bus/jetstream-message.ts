import type { MsgHdrs, StoredMsg } from "nats";
import type { BusMessage } from "./bus.ts";

/** JetStream's own headers, such as the expected last sequence. */
const RESERVED = /^nats-/i;

/** A message as the stream gave it when asked for it. */
export function storedMessage({ subject, data, header, seq, time }: StoredMsg): BusMessage {
  return { subject, data, headers: ownHeaders(header), sequence: seq, time };
}

/** The headers that the publisher gave. */
export function ownHeaders(headers: MsgHdrs | undefined): Record<string, string> {
  const names = (headers?.keys() ?? []).filter((name) => !RESERVED.test(name));
  return Object.fromEntries(names.map((name) => [name, headers!.get(name)]));
}
