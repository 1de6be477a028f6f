import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { Accounts, type Account, type AccountChange } from "./accounts.ts";
import type { Bound, SmscEvent } from "./events.ts";
import { SmscSession, type SessionContext, type Timers } from "./session.ts";
import { story } from "./story.ts";
import { count, newTotals, type Totals } from "./totals.ts";

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
}

/** What an outsider may see of the simulator: no passwords. */
export interface SmscState {
  readonly ports: readonly number[];
  readonly accounts: readonly AccountState[];
  readonly totals: Totals;
}

export interface AccountState {
  readonly systemId: string;
  readonly maxBinds: number;
  readonly systemType?: string;
  readonly sessions: readonly Bound[];
}

export interface Smsc {
  /** The ports listened on, in the order asked for. */
  readonly ports: readonly number[];
  state(): SmscState;
  /** Changes or adds an account; bound sessions stay. Throws InvalidAccountError. */
  setAccount(systemId: string, change: AccountChange): "added" | "changed";
  /** Cuts the account's sessions without unbind and returns how many; undefined when there is no such account. */
  disconnect(systemId: string): number | undefined;
  /** Stops listening, unbinds every session, and waits until all connections are closed. */
  close(): Promise<void>;
}

/** More connections than this at once are dropped at accept. */
const MAX_CONNECTIONS = 1000;

/** Starts an SMSC. Rejects when a port is taken, and then listens on none. */
export async function startSmsc(options: SmscOptions): Promise<Smsc> {
  const { host = "127.0.0.1", systemId = "smsc-simulator", maxPduBytes = 16_384, log } = options;
  const timers: Timers = {
    sessionInit: 10_000,
    enquireLink: 30_000,
    response: 10_000,
    inactivity: 300_000,
    ...options.timers,
  };
  const accounts = new Accounts<SmscSession>();
  const sessions = new Set<SmscSession>();
  const totals = newTotals();
  let lastSession = 0;
  let lastMessage = 0;

  function emit(event: SmscEvent): void {
    count(totals, event);
    const line = story(event);
    if (line !== undefined) log?.(`${new Date().toISOString().slice(11, 23)} ${line}`);
  }

  const context: SessionContext = {
    systemId,
    accounts,
    timers,
    maxPduBytes,
    emit,
    nextMessageId: () => (++lastMessage).toString(16).padStart(8, "0"),
  };

  const listen = async (wanted: number): Promise<{ server: Server; port: number }> => {
    const server = createServer({ noDelay: true }, (socket) => {
      const remote = address(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0);
      const peer = { sessionId: ++lastSession, remote, port: socket.localPort ?? wanted };
      const session = new SmscSession(socket, peer, context);
      sessions.add(session);
      socket.once("close", () => sessions.delete(session));
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.listen(wanted, host);
    await once(server, "listening");
    return { server, port: (server.address() as AddressInfo).port };
  };

  const setAccount = (id: string, change: AccountChange): "added" | "changed" => {
    const outcome = accounts.set(id, change);
    emit({ kind: "account-set", systemId: id, outcome, fields: Object.keys(change) });
    return outcome;
  };
  for (const account of options.accounts) accounts.set(account.systemId, account);

  const listeners: { server: Server; port: number }[] = [];
  try {
    for (const port of options.ports) {
      const listener = await listen(port);
      listeners.push(listener);
      emit({ kind: "listening", address: address(host, listener.port) });
    }
  } catch (error) {
    await Promise.all(listeners.map(({ server }) => closed(server)));
    throw error;
  }
  const ports = listeners.map(({ port }) => port);

  return {
    ports,
    setAccount,
    state: () => ({
      ports,
      accounts: accounts.list().map(({ account: { systemId, maxBinds, systemType }, holders }) => ({
        systemId,
        maxBinds,
        ...(systemType !== undefined && { systemType }),
        sessions: holders.flatMap((session) => session.bound ?? []),
      })),
      totals: structuredClone(totals),
    }),
    disconnect: (id) => {
      const holders = accounts.holders(id);
      holders?.forEach((session) => session.drop());
      return holders?.length;
    },
    close: async () => {
      emit({ kind: "stopping" });
      const stopped = listeners.map(({ server }) => closed(server));
      for (const session of sessions) session.unbind();
      await Promise.all(stopped);
    },
  };
}

function address(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Resolves when the server has stopped listening and its last connection is gone; at once when it was closed before. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
