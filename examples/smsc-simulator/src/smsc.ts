import type { Account, AccountChange } from "./account.ts";
import { Accounts } from "./accounts.ts";
import type { BehaviourPatch } from "./behaviour.ts";
import type { SmscEvent } from "./events.ts";
import type { Timers } from "./liveness.ts";
import { Messages, type Message } from "./messages.ts";
import type { PasswordMode } from "./passwords.ts";
import { Receipts } from "./receipts.ts";
import type { Role } from "./role.ts";
import { SmscSession, type SessionContext } from "./session.ts";
import { SmppPort, UnknownPortError, type PortMode } from "./smpp-port.ts";
import { StateBook, type SmscState } from "./state.ts";
import { story } from "./story.ts";
import { SubmitDesk } from "./submit-desk.ts";

export interface SmscOptions {
  /** Each is listened on; 0 takes a free port. */
  readonly ports: readonly number[];
  readonly accounts: readonly Account[];
  /** Gets one line per event, with the time, without secrets. */
  readonly log?: (line: string) => void;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** What the simulator calls itself in bind responses; default `smsc-simulator`. */
  readonly systemId?: string;
  /** Defaults: sessionInit 10 s, enquireLink 30 s, response 10 s, inactivity 300 s. */
  readonly timers?: Partial<Timers>;
  /** Default 16384 bytes. */
  readonly maxPduBytes?: number;
  /** Decides, with the account and the number of the submit, what happens by chance; default 1. */
  readonly seed?: number;
  /** Milliseconds since 1970, for everything that depends on the time of day or on how long ago something was. */
  readonly now?: () => number;
  /** How many messages are remembered; default 100000. */
  readonly maxMessages?: number;
}

export interface Smsc {
  /** The ports listened on, in the order asked for. */
  readonly ports: readonly number[];
  now(): number;
  state(): SmscState;
  /** Changes or adds an account; bound sessions stay. Throws InvalidAccountError. */
  setAccount(systemId: string, change: AccountChange): "added" | "changed";
  /** Changes how an account is treated, from the next PDU on. Throws UnknownAccountError and InvalidFieldError. */
  behave(systemId: string, patch: BehaviourPatch): void;
  /** Throws UnknownAccountError. */
  changePassword(systemId: string, password: string, how: PasswordMode): void;
  /**
   * Cuts the account's sessions (of one role, if named) without unbind and returns how many; `dead` ones keep their bind for the hold
   * time. Throws UnknownAccountError.
   */
  disconnect(systemId: string, how?: { reset?: boolean; dead?: boolean; role?: Role | undefined }): number;
  /** Frees what dead sessions hold and returns how many binds. Throws UnknownAccountError. */
  releaseHeld(systemId: string): number;
  /** Throws UnknownAccountError. */
  unlock(systemId: string): void;
  /** Without `port`, for all. Rejects with UnknownPortError when it is none of {@link ports}, and when it was closed and is taken now. */
  setPort(mode: PortMode, port?: number): Promise<void>;
  /** What the vendor has of this account, oldest first. */
  messages(systemId: string, page?: { after?: number; limit?: number }): Message[];
  /** By either of its ids. */
  message(systemId: string, id: string): Message | undefined;
  /** Writes a line into the log. */
  say(text: string): void;
  /** Stops listening, unbinds every session, and waits until all connections are closed. */
  close(): Promise<void>;
}

/** Starts an SMSC. Rejects when a port is taken, and then listens on none. */
export async function startSmsc(options: SmscOptions): Promise<Smsc> {
  const { host = "127.0.0.1", systemId = "smsc-simulator", maxPduBytes = 16_384, seed = 1, log } = options;
  const { now = Date.now, maxMessages = 100_000 } = options;
  const timers = { sessionInit: 10_000, enquireLink: 30_000, response: 10_000, inactivity: 300_000, ...options.timers };
  const accounts = new Accounts<SmscSession>(now);
  const sessions = new Set<SmscSession>();
  const book = new StateBook();
  const messages = new Messages(maxMessages);
  const behaviour = (id: string) => accounts.behaviour(id);
  let lastSession = 0;

  function emit(event: SmscEvent): void {
    book.count(event);
    const line = story(event);
    if (line !== undefined) log?.(`${new Date(now()).toISOString().slice(11, 23)} ${line}`);
    // A bind that can take what waits.
    if (event.kind === "bind-accepted") receipts.flush(event.session.systemId);
  }

  const receivers = (id: string) => accounts.holders(id).filter((session) => session.canReceive);
  const receipts = new Receipts({ receivers, behaviour, emit, now });
  const submits = new SubmitDesk({ seed, behaviour, messages, receipts, emit, now });
  const context: SessionContext = { systemId, accounts, timers, maxPduBytes, submits, emit };

  for (const account of options.accounts) accounts.set(account.systemId, account);
  const listeners: SmppPort[] = [];
  try {
    for (const wanted of options.ports) {
      const listener = await SmppPort.listen(wanted, host, (socket) => {
        const remote = address(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0);
        const peer = { sessionId: ++lastSession, remote, port: listener.number };
        const session = new SmscSession(socket, peer, context);
        sessions.add(session);
        socket.once("close", () => sessions.delete(session));
      });
      listeners.push(listener);
      emit({ kind: "listening", address: address(host, listener.number) });
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }

  return {
    ports: listeners.map(({ number }) => number),
    now,
    state: () => book.state(listeners, accounts, messages.forgotten),
    setAccount: (id, change) => {
      const outcome = accounts.set(id, change);
      emit({ kind: "account-set", systemId: id, outcome, fields: Object.keys(change) });
      receipts.flush(id);
      return outcome;
    },
    behave: (id, patch) => {
      accounts.behave(id, patch);
      emit({ kind: "behaviour-set", systemId: id, words: JSON.stringify(patch) });
      receipts.flush(id);
    },
    changePassword: (id, password, how) => {
      accounts.changePassword(id, password, how);
      emit({ kind: "password-changed", systemId: id, how });
    },
    disconnect: (id, { role, ...how } = {}) => {
      const holders = accounts.holders(id).filter(({ bound }) => role === undefined || bound?.role === role);
      for (const session of holders) session.drop(how);
      return holders.length;
    },
    releaseHeld: (id) => {
      const count = accounts.releaseHeld(id);
      emit({ kind: "binds-released", systemId: id, count });
      return count;
    },
    unlock: (id) => {
      accounts.unlock(id);
      emit({ kind: "unlocked", systemId: id });
    },
    setPort: async (mode, port) => {
      const chosen = listeners.filter(({ number }) => port === undefined || number === port);
      if (chosen.length === 0) throw new UnknownPortError();
      for (const listener of chosen) {
        await listener.setMode(mode);
        emit({ kind: "port-set", port: listener.number, mode });
      }
    },
    messages: (id, page) => messages.list(id, page),
    message: (id, messageId) => messages.find(id, messageId),
    say: (text) => emit({ kind: "script", text }),
    close: async () => {
      emit({ kind: "stopping" });
      receipts.close();
      submits.close();
      const stopped = listeners.map((listener) => listener.close());
      for (const session of sessions) session.unbind();
      await Promise.all(stopped);
    },
  };
}

function address(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
