import type { ReceiptProgress } from "./messages.ts";
import type { PasswordMode } from "./passwords.ts";
import type { Role } from "./role.ts";
import type { StatusName } from "./smpp.ts";
import type { PortMode } from "./smpp-port.ts";

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

/** A bind that is not granted. */
export interface BindRefused {
  kind: "bind-refused";
  peer: Peer;
  systemId: string;
  known: boolean;
  status: StatusName;
  /** The connection is closed without an answer. */
  dropped: boolean;
  /** The account is locked, whatever the password. */
  locked: boolean;
  /** Set for a wrong password: how many there were lately, and whether this one locked the account. */
  failedLogin?: { readonly recent: number; readonly locked: boolean };
}

/** Everything that happens in the simulator; the log and the totals are made from it. */
export type SmscEvent =
  | { kind: "listening"; address: string }
  | { kind: "bind-accepted"; session: Bound; bound: number; maxBinds: number }
  | BindRefused
  | { kind: "bind-held"; systemId: string; sessionId: number; until: number }
  | { kind: "binds-released"; systemId: string; count: number }
  | { kind: "unbind"; session: Bound; by: "client" | "simulator" }
  | { kind: "closed"; peer: Peer; systemId?: string; reason: CloseReason }
  | { kind: "enquire-link-answered" }
  | { kind: "enquire-link-sent" }
  /** A request that is not answered because the account is mute. */
  | { kind: "ignored"; systemId: string; command: string }
  /** `result` is the command_status answered, or `unanswered`; systemId is undefined when nobody is bound. */
  | { kind: "submit"; systemId: string | undefined; result: string; taken: boolean }
  | { kind: "receipt"; systemId: string; from: ReceiptProgress; to: ReceiptProgress }
  | { kind: "account-set"; systemId: string; outcome: "added" | "changed"; fields: readonly string[] }
  | { kind: "behaviour-set"; systemId: string; words: string }
  | { kind: "password-changed"; systemId: string; how: PasswordMode }
  | { kind: "unlocked"; systemId: string }
  | { kind: "port-set"; port: number; mode: PortMode }
  | { kind: "script"; text: string }
  | { kind: "stopping" };
