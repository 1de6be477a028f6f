import { Countdowns } from "./countdowns.ts";
import type { CloseReason } from "./events.ts";
import type { Answered } from "./pending-requests.ts";

/** All in milliseconds. */
export interface Timers {
  /** From connecting to the bind; then the connection is closed. */
  readonly sessionInit: number;
  /** Without a PDU from the client, the simulator sends enquire_link; 0 never does. */
  readonly enquireLink: number;
  /** For the client's answer to enquire_link or unbind; then the connection is closed. */
  readonly response: number;
  /** Without a PDU from the client, the session is closed; 0 never does. */
  readonly inactivity: number;
}

/** The session that is watched over. */
export interface WatchedSession {
  readonly timers: Timers;
  /** Whether it plays dead: then nothing is sent and nothing is noticed. */
  readonly isMute: () => boolean;
  readonly request: (command: "enquire_link" | "unbind", answered: Answered) => void;
  readonly close: (reason: CloseReason) => void;
}

/** Finds out whether a session's client is still there. */
export class Liveness {
  readonly #session: WatchedSession;
  readonly #countdowns = new Countdowns<keyof Timers>();
  /** One enquire_link or unbind at a time. */
  #awaiting = false;

  constructor(session: WatchedSession) {
    this.#session = session;
    this.#countdowns.start("sessionInit", session.timers.sessionInit, () => session.close("never-bound"));
  }

  /** It has bound, or will never be answered: no more hurry. */
  settled(): void {
    this.#countdowns.stop("sessionInit");
  }

  /** Any PDU shows that the client lives, so both idle timers of a bound session start over. */
  heard(): void {
    const { timers, isMute } = this.#session;
    this.#countdowns.start("inactivity", timers.inactivity, () => this.#expire("silent"));
    if (this.#awaiting) return;
    this.#countdowns.start("enquireLink", timers.enquireLink, () => {
      if (isMute()) return;
      this.#ask(
        "enquire_link",
        () => this.#expire("enquire-link-unanswered"),
        () => this.heard(),
      );
    });
  }

  /** Asks the client to unbind; then the session closes, with an answer or without. */
  unbind(): void {
    const { close } = this.#session;
    this.#ask(
      "unbind",
      () => close("stopping"),
      () => close("unbound"),
    );
  }

  stop(): void {
    this.#countdowns.stopAll();
  }

  #ask(command: "enquire_link" | "unbind", unanswered: () => void, answered: () => void): void {
    this.#awaiting = true;
    this.#countdowns.stop("enquireLink");
    this.#countdowns.start("response", this.#session.timers.response, unanswered);
    this.#session.request(command, (answer) => {
      if (!answer) return;
      this.#awaiting = false;
      this.#countdowns.stop("response");
      answered();
    });
  }

  /** A half-dead server does not notice that a client is gone. */
  #expire(reason: CloseReason): void {
    if (!this.#session.isMute()) this.#session.close(reason);
  }
}
