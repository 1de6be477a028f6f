import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { onTestFinished, vi } from "vitest";
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
  /** Resolves when the simulator has closed the connection. */
  readonly closed: Promise<void>;
  hangUp(): void;
}

/** Answers the simulator's requests, like a real client, unless `mute`. */
export async function connectClient(port: number, { mute = false } = {}): Promise<Client> {
  const session = connect({ host: "127.0.0.1", port });
  onTestFinished(() => void session.socket.destroy());
  const received: Pdu[] = [];
  session.on("error", () => undefined);
  session.on("pdu", (pdu) => {
    if (pdu.isResponse()) return;
    received.push(pdu);
    if (!mute) session.send(pdu.response());
  });
  const closed = new Promise<void>((resolve) => session.on("close", resolve));
  await once(session.socket, "connect");
  const ask = (command: string, fields?: PduFields) =>
    new Promise<Pdu>((resolve, reject) => {
      session.on("close", () => reject(new Error(`connection closed before the answer to ${command}`)));
      session.send(new PDU(command, fields), resolve);
    });
  const login = { system_id: acme.systemId, password: acme.password };
  return {
    ask,
    bind: (role = "transceiver", fields) => ask(`bind_${role}`, { ...login, ...fields }),
    received,
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
