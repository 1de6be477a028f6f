import type { MsgHdrs, StoredMsg } from "nats";
import type { BusMessage, StreamName } from "./bus.ts";
import { API_ERROR, apiErrorCode } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";
import { streams } from "./streams.ts";

/** JetStream's own headers, such as the expected last sequence. */
const RESERVED = /^nats-/i;

/** A message as the stream gave it when asked for it. */
function storedMessage({ subject, data, header, seq, time }: StoredMsg): BusMessage {
  return { subject, data, headers: ownHeaders(header), sequence: seq, time };
}

/** The headers that the publisher gave. */
export function ownHeaders(headers: MsgHdrs | undefined): Record<string, string> {
  const names = (headers?.keys() ?? []).filter((name) => !RESERVED.test(name));
  return Object.fromEntries(names.map((name) => [name, headers!.get(name)]));
}

/** The stream's last message, as its leader knows it; undefined when it is empty. @throws NatsError */
export async function lastStored({ manager }: NatsSession, stream: StreamName): Promise<BusMessage | undefined> {
  try {
    return storedMessage(await manager.streams.getMessage(stream, { last_by_subj: streams[stream].subject }));
  } catch (error) {
    if (apiErrorCode(error) === API_ERROR.messageNotFound) return undefined;
    throw error;
  }
}
