import { createRequire } from "node:module";
import type { Socket } from "node:net";

/**
 * The part of npm `smpp` that the connector uses; the package has no types of its own. It is typed here rather than by an
 * ambient `declare module`, which would be shared by every program of the repository.
 */
interface SmppLibrary {
  readonly PDU: new (command: string, fields?: PduFields) => Pdu;
  /** Opens a TCP connection; the rest of the options goes to `net.connect`. */
  readonly connect: (options: { host: string; port: number; localAddress?: string }) => LibrarySession;
  /** Names of command_status values and their numbers. */
  readonly errors: Readonly<Record<string, number>>;
}

/** One decoded PDU. */
export interface Pdu extends PduFields {
  /** `unknown` when the command_id is none of SMPP's. */
  readonly command: string;
  readonly command_status: number;
  readonly sequence_number: number;
  isResponse(): boolean;
  response(fields?: PduFields): Pdu;
}

export interface PduFields {
  command_status?: number;
  system_id?: string;
  password?: string;
  system_type?: string;
  interface_version?: number;
  addr_ton?: number;
  addr_npi?: number;
  address_range?: string;
  message_id?: string;
  source_addr_ton?: number;
  source_addr_npi?: number;
  source_addr?: string;
  dest_addr_ton?: number;
  dest_addr_npi?: number;
  destination_addr?: string;
  short_message?: string | { readonly message?: string | Uint8Array };
  service_type?: string;
  protocol_id?: number;
  priority_flag?: number;
  esm_class?: number;
  registered_delivery?: number;
  receipted_message_id?: string;
  message_state?: number;
}

/** The library's session: a socket that cuts bytes into PDUs and matches responses by sequence number. */
export interface LibrarySession {
  readonly socket: Socket;
  /** False when the socket can't be written to; `answered` is then never called. */
  send(pdu: Pdu, answered?: (response: Pdu) => void): boolean;
  close(): void;
  destroy(): void;
  on(event: "connect" | "close", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "pdu", listener: (pdu: Pdu) => void): this;
}

const library = createRequire(import.meta.url)("smpp") as SmppLibrary;

export const { PDU, connect, errors } = library;
