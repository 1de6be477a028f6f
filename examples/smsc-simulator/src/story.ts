import type { BindRefused, CloseReason, Peer, SmscEvent } from "./events.ts";
import type { PasswordMode } from "./passwords.ts";
import { Status, type StatusName } from "./smpp.ts";

/**
 * One line about `event`, or undefined for events too frequent to tell or already told by the line before.
 * No line holds a password, nor a system_id no account has: people paste passwords into the wrong field.
 */
export function story(event: SmscEvent): string | undefined {
  switch (event.kind) {
    case "listening":
      return `listening for SMPP binds on ${event.address}`;
    case "bind-accepted": {
      const { session, bound, maxBinds } = event;
      return `${session.systemId}: bound as ${session.role} ${where(session)}, ${bound} of ${maxBinds} binds in use`;
    }
    case "bind-refused": {
      const name = event.known ? event.systemId : `unknown account (system_id of ${event.systemId.length} characters)`;
      return `${name}: bind ${event.dropped ? "dropped" : "refused"} ${where(event.peer)}, ${refusal(event)}`;
    }
    case "bind-held":
      return `${event.systemId}: the bind of session ${event.sessionId} is held until ${clock(event.until)}`;
    case "binds-released":
      return `${event.systemId}: ${event.count} held binds released`;
    case "unbind": {
      const { session, by } = event;
      return `${session.systemId}: ${by === "client" ? "unbound itself" : "asked to unbind"} ${where(session)}`;
    }
    case "closed": {
      const words = closing(event.reason);
      return words && `${event.systemId ?? "connection without a bind"}: closed ${where(event.peer)}, ${words}`;
    }
    case "account-set":
      return `${event.systemId}: account ${event.outcome} (${event.fields.join(", ")})`;
    case "behaviour-set":
      return `${event.systemId}: behaviour changed ${event.words}`;
    case "password-changed":
      return `${event.systemId}: ${passwordChange(event.how)}`;
    case "unlocked":
      return `${event.systemId}: unlocked`;
    case "port-set":
      return `port ${event.port} is ${event.mode}`;
    case "script":
      return event.text;
    case "stopping":
      return "stopping: unbinding every session";
    case "enquire-link-answered":
    case "enquire-link-sent":
    case "ignored":
    case "submit":
    case "receipt":
      return undefined;
    default:
      return event satisfies never;
  }
}

function where(peer: Peer): string {
  return `(session ${peer.sessionId}, ${peer.remote} to port ${peer.port})`;
}

const refusalWords: { readonly [name in StatusName]?: string } = {
  ESME_RINVCMDLEN: "the bind is cut short",
  ESME_RINVBNDSTS: "the session is bound already",
  ESME_RSYSERR: "the vendor has an outage",
  ESME_RALYBND: "all binds of the account are in use",
  ESME_RINVPASWD: "wrong password",
  ESME_RINVSYSID: "no account has this system_id",
  ESME_RINVSYSTYP: "wrong system_type",
};

function refusal({ status, locked, failedLogin }: BindRefused): string {
  const code = Status[status].toString(16).toUpperCase().padStart(2, "0");
  const words = locked ? "the account is locked" : (refusalWords[status] ?? "not acceptable");
  return `${words} (${status} 0x${code})${failedLogin?.locked ? "; the account is locked now" : ""}`;
}

function passwordChange(how: PasswordMode): string {
  switch (how.mode) {
    case "REPLACE":
      return "password replaced";
    case "SWITCH_AT":
      return `the password changes at ${clock(how.time)}`;
    case "BOTH_VALID":
      return `a second password is valid${how.oldUntil === Infinity ? "" : `, the old one until ${clock(how.oldUntil)}`}`;
    default:
      return how satisfies never;
  }
}

function clock(time: number): string {
  return new Date(time).toISOString().slice(11, 23);
}

function closing(reason: CloseReason): string | undefined {
  switch (reason) {
    case "bind-refused":
    case "unbound":
      return undefined;
    case "hung-up":
      return "the client hung up without unbind";
    case "reset":
      return "the connection broke";
    case "never-bound":
      return "no bind arrived in time";
    case "silent":
      return "nothing was received for too long";
    case "enquire-link-unanswered":
      return "enquire_link was not answered";
    case "garbage":
      return "the client sent bytes that are not SMPP";
    case "dropped":
      return "dropped on request";
    case "stopping":
      return "the simulator stops";
    default:
      return reason satisfies never;
  }
}
