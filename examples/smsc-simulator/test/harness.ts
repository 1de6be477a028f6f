import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { onTestFinished, vi } from "vitest";
import type { Account } from "../src/account.ts";
import type { AccountTotals } from "../src/account-totals.ts";
import type { Behaviour } from "../src/behaviour.ts";
import { connect, PDU, type Pdu, type PduFields } from "../src/smpp.ts";
import { startSmsc, type Smsc, type SmscOptions } from "../src/smsc.ts";

export const acme = { systemId: "acme01", password: "s3cr3t-acme", maxBinds: 2 };

/** A simulator on free ports that lives as long as the test; `lines` is its log. */
export async function runSmsc(
  options: Partial<SmscOptions> = {},
): Promise<{ smsc: Smsc; port: number; lines: string[] }> {
  const lines: string[] = [];
  const smsc = await startSmsc({ ports: [0], accounts: [acme], log: (line) => lines.push(line), ...options });
  onTestFinished(() => smsc.close());
  return { smsc, port: smsc.ports[0] ?? 0, lines };
}

/** An SMPP client on the npm library. */
export interface Client {
  /** Sends a request and resolves with its response. */
  ask(command: string, fields?: PduFields): Promise<Pdu>;
  bind(role?: "transmitter" | "receiver" | "transceiver", fields?: PduFields): Promise<Pdu>;
  /** Requests that the simulator sent. */
  readonly received: readonly Pdu[];
  /** Every command that came, responses too, in order. */
  readonly heard: readonly string[];
  /** Resolves when the simulator has closed the connection. */
  readonly closed: Promise<void>;
  hangUp(): void;
}

/** A clock that stands still until it is moved. */
export class Clock {
  time = Date.parse("2030-01-31T12:00:00Z");
  readonly now = (): number => this.time;

  /** In seconds. */
  forward(seconds: number): void {
    this.time += seconds * 1000;
  }
}

/** The account `acme01` with this behaviour. */
export function behaving(behaviour: Behaviour, more: Partial<Account> = {}): { accounts: Account[] } {
  return { accounts: [{ ...acme, behaviour, ...more }] };
}

/** A bound session; the bind must succeed. */
export async function boundClient(
  port: number,
  role: "transmitter" | "receiver" | "transceiver" = "transceiver",
): Promise<Client> {
  const client = await connectClient(port);
  const { command_status } = await client.bind(role);
  if (command_status !== 0) throw new Error(`the bind was refused with ${command_status}`);
  return client;
}

/** What became of a bind with this password: its command_status, or `closed` without an answer. */
export async function tryBind(port: number, password = acme.password): Promise<number | "closed"> {
  const client = await connectClient(port);
  return client.bind("transceiver", { password }).then(
    ({ command_status }) => command_status,
    () => "closed" as const,
  );
}

export const message = { source_addr: "acme", destination_addr: "385911234567", short_message: "hello" };

/** Submits `count` messages at once and counts the answers by command_status. */
export async function submitMany(client: Client, count: number): Promise<Record<number, number>> {
  const answers = await Promise.all(Array.from({ length: count }, () => client.ask("submit_sm", message)));
  return answers.reduce<Record<number, number>>((sum, { command_status: status }) => {
    return { ...sum, [status]: (sum[status] ?? 0) + 1 };
  }, {});
}

export function totalsOf(smsc: Smsc, systemId: string = acme.systemId): AccountTotals {
  const account = smsc.state().accounts.find((each) => each.systemId === systemId);
  if (!account) throw new Error("there is no such account");
  return account.totals;
}

/** Answers the simulator's requests, like a real client, unless `mute`; with `refuse` as command_status. */
export async function connectClient(port: number, { mute = false, refuse = 0 } = {}): Promise<Client> {
  const session = connect({ host: "127.0.0.1", port });
  onTestFinished(() => void session.socket.destroy());
  const received: Pdu[] = [];
  const heard: string[] = [];
  session.on("error", () => undefined);
  session.on("pdu", (pdu) => {
    heard.push(pdu.command);
    if (pdu.isResponse()) return;
    received.push(pdu);
    if (!mute) session.send(pdu.response({ command_status: refuse }));
  });
  const closed = new Promise<void>((resolve) => session.on("close", resolve));
  await once(session.socket, "connect");
  const ask = (command: string, fields?: PduFields) =>
    new Promise<Pdu>((resolve, reject) => {
      void closed.then(() => reject(new Error(`connection closed before the answer to ${command}`)));
      session.send(new PDU(command, fields), resolve);
    });
  const login = { system_id: acme.systemId, password: acme.password };
  return {
    ask,
    bind: (role = "transceiver", fields) => ask(`bind_${role}`, { ...login, ...fields }),
    received,
    heard,
    closed,
    hangUp: () => session.socket.destroy(),
  };
}

/** A bare TCP connection; `reply` collects what the simulator sends. */
export async function connectRaw(
  port: number,
): Promise<{ socket: Socket; reply: () => Buffer; closed: Promise<void> }> {
  const socket = connectTcp({ host: "127.0.0.1", port });
  onTestFinished(() => void socket.destroy());
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await once(socket, "connect");
  return { socket, reply: () => Buffer.concat(chunks), closed };
}

/** The bound sessions of an account, as an outsider sees them. */
export function sessionsOf(smsc: Smsc, systemId: string = acme.systemId) {
  return smsc.state().accounts.find((account) => account.systemId === systemId)?.sessions ?? [];
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { timeout: 10_000, interval: 5 });
}
