import { createRequire } from "node:module";
import type { Socket } from "node:net";

/**
 * The part of npm `smpp` that the simulator and its tests use; the package has no types of its own. It is typed here
 * rather than by an ambient `declare module`, which would be shared by every program of the repository.
 */
interface SmppLibrary {
  readonly PDU: PduConstructor;
  readonly connect: (options: { host: string; port: number }, connected?: () => void) => ClientSession;
  /** Names of command_status values and their numbers. */
  readonly errors: Readonly<Record<string, number>>;
}

interface PduConstructor {
  /** Throws when a field lies beyond the end of the frame. */
  new (frame: Buffer): Pdu;
  new (command: string, fields?: PduFields): Pdu;
}

/** One decoded PDU. A field that the sender cut off is undefined. */
export interface Pdu extends PduFields {
  /** `unknown` when the command_id is none of SMPP 3.4. */
  readonly command: string;
  readonly command_status: number;
  readonly sequence_number: number;
  isResponse(): boolean;
  response(fields?: PduFields): Pdu;
  toBuffer(): Buffer;
}

export interface PduFields {
  command_status?: number;
  sequence_number?: number;
  system_id?: string;
  password?: string;
  system_type?: string;
  interface_version?: number;
  sc_interface_version?: number;
  message_id?: string;
  source_addr?: string;
  destination_addr?: string;
  short_message?: unknown;
  esm_class?: number;
  registered_delivery?: number;
  receipted_message_id?: string;
  message_state?: number;
}

/** The library's client side; the tests bind with it. */
export interface ClientSession {
  readonly socket: Socket;
  send(pdu: Pdu, answered?: (response: Pdu) => void): boolean;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "close", listener: () => void): this;
  on(event: "pdu", listener: (pdu: Pdu) => void): this;
}

const library = createRequire(import.meta.url)("smpp") as SmppLibrary;

export const { PDU, connect } = library;

/** The command_status values that the simulator answers with by itself, as SMPP 3.4 section 5.1.3 numbers them. */
export const Status = {
  ESME_ROK: 0x00,
  ESME_RINVCMDLEN: 0x02,
  ESME_RINVCMDID: 0x03,
  ESME_RINVBNDSTS: 0x04,
  ESME_RALYBND: 0x05,
  ESME_RSYSERR: 0x08,
  ESME_RBINDFAIL: 0x0d,
  ESME_RINVPASWD: 0x0e,
  ESME_RINVSYSID: 0x0f,
  ESME_RINVSYSTYP: 0x53,
  ESME_RTHROTTLED: 0x58,
} as const;
export type StatusName = keyof typeof Status;

/** Whether it names a command_status: one of SMPP's, or a number such as 0x0401 for a vendor's own. */
export function isStatus(name: string): boolean {
  return Object.hasOwn(library.errors, name) || /^0x[0-9a-f]{1,8}$/i.test(name);
}

/** Of a name that {@link isStatus}. */
export function statusNumber(name: string): number {
  return library.errors[name] ?? Number(name);
}

/** The text of a decoded short_message, empty for bytes that are none. */
export function messageText(shortMessage: unknown): string {
  if (typeof shortMessage === "string") return shortMessage;
  const message = typeof shortMessage === "object" && shortMessage !== null && "message" in shortMessage;
  return message && typeof shortMessage.message === "string" ? shortMessage.message : "";
}
