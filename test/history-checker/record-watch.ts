import { createHash } from "node:crypto";
import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { decodeToken } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  OperatorRemoved_Cause,
  type OperatorEvent,
  type WatchOperatorsRequest,
  type WatchOperatorsResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { canonicalBytes } from "../../src/operators/canonical.ts";
import type { SeenEvent, SeenMessage, SeenPosition, SeenStream, TrueState } from "./observation.ts";

/** Everything a client's watch streams received, as it came off the wire, before the client did anything with it. */
export interface WatchRecording {
  /** In the order in which they were asked for, whichever server answered. */
  readonly streams: SeenStream[];
  /** Records all WatchOperators streams of the transport that it is given to; `server` is where that leads. */
  readonly interceptor: (server: string) => Interceptor;
}

/** A recording of one client, which may move between servers. */
export function recordWatch(): WatchRecording {
  const streams: SeenStream[] = [];
  const interceptor =
    (server: string): Interceptor =>
    (next) =>
    async (request) => {
      if (!request.stream || request.method.name !== "WatchOperators") return next(request);
      const messages: SeenMessage[] = [];
      const record = (start: SeenStream["start"]): void => void streams.push({ server, start, messages });
      const response = await next({
        ...request,
        message: tap(request.message, (sent) => record(startOf(sent as WatchOperatorsRequest))),
      });
      if (!response.stream) return response;
      return {
        ...response,
        message: tap(response.message, (seen) => messages.push(seenMessage(seen as WatchOperatorsResponse))),
      };
    };
  return { streams, interceptor };
}

/** The position that a token names. */
export function positionOf(text: string): SeenPosition {
  const token = decodeToken(text);
  if (token === undefined) throw new Error(`the service sent "${text}", which is no token`);
  return { revision: Number(token.revision), fingerprint: Buffer.from(token.fingerprint).toString("hex") };
}

/** SHA-256 of an operator's canonical bytes, as lower-case hex. */
export function contentOf(operator: Operator): string {
  return createHash("sha256").update(canonicalBytes(operator)).digest("hex");
}

/** What the validator needs to know of an operator as a revision left it. */
export function stateOf(operator: Operator): TrueState {
  return {
    id: operator.id,
    uid: operator.uid,
    content: contentOf(operator),
    deleted: operator.deleteTime !== undefined,
    labels: { ...operator.labels },
    adminState: AdminState[operator.adminState],
  };
}

async function* tap<T extends Message>(messages: AsyncIterable<T>, see: (message: T) => void): AsyncGenerator<T> {
  for await (const message of messages) {
    see(message);
    yield message;
  }
}

function startOf(request: WatchOperatorsRequest): SeenStream["start"] {
  if (request.initialSnapshot) return "snapshot";
  return request.startToken === "" ? "now" : positionOf(request.startToken);
}

function seenMessage({ message }: WatchOperatorsResponse): SeenMessage {
  if (message.case === "bookmark") {
    return {
      type: "bookmark",
      initialComplete: message.value.initialComplete,
      position: positionOf(message.value.token),
    };
  }
  if (message.case !== "changes") throw new Error("a watch message without content");
  const { events, token } = message.value;
  return { type: "changes", events: events.map(seenEvent), position: token === "" ? undefined : positionOf(token) };
}

function seenEvent({ event }: OperatorEvent): SeenEvent {
  if (event.case === "upsert") {
    const { id, uid } = event.value;
    return { id, uid, type: "upsert", content: contentOf(event.value) };
  }
  if (event.case !== "removed") throw new Error("a watch event without content");
  const { id, uid, cause } = event.value;
  if (cause === OperatorRemoved_Cause.UNSPECIFIED) throw new Error("a removal without a cause");
  return { id, uid, type: "removed", cause: cause === OperatorRemoved_Cause.DELETED ? "DELETED" : "LEFT_FILTER" };
}
