import type { StatusName } from "./smpp.ts";

export type Role = "transmitter" | "receiver" | "transceiver";

/** One TCP connection from a client. */
export interface Peer {
  readonly sessionId: number;
  /** Address and port of the client. */
  readonly remote: string;
  /** The simulator's port that the client connected to. */
  readonly port: number;
}

/** A bound session. */
export interface Bound extends Peer {
  readonly systemId: string;
  readonly role: Role;
  /** When it bound, RFC 3339. */
  readonly since: string;
}

export type CloseReason =
  | "bind-refused"
  | "unbound"
  | "hung-up"
  | "reset"
  | "never-bound"
  | "silent"
  | "enquire-link-unanswered"
  | "garbage"
  | "dropped"
  | "stopping";

/** Everything that happens in the simulator; the log and the totals are made from it. */
export type SmscEvent =
  | { kind: "listening"; address: string }
  | { kind: "bind-accepted"; session: Bound; bound: number; maxBinds: number }
  | { kind: "bind-refused"; peer: Peer; systemId: string; known: boolean; status: StatusName }
  | { kind: "unbind"; session: Bound; by: "client" | "simulator" }
  | { kind: "closed"; peer: Peer; systemId?: string; reason: CloseReason }
  | { kind: "enquire-link-answered" }
  | { kind: "enquire-link-sent" }
  | { kind: "message-received" }
  | { kind: "message-refused" }
  | { kind: "account-set"; systemId: string; outcome: "added" | "changed"; fields: readonly string[] }
  | { kind: "stopping" };
