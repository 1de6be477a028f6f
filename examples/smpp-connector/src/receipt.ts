import {
  MessageIdFormat,
  MessageState,
  ReceiptDetection,
  ReceiptIdSource,
  type Receipts,
} from "@operator-management/contract/ops/v1/receipts_pb.js";
import type { Pdu } from "./smpp.ts";

/** What a receipt says; the id is canonical, see {@link canonicalId}. */
export interface Receipt {
  readonly id: string;
  readonly state: MessageState;
}

/** esm_class: which kind of message, and that it is a receipt. SMPP 3.4: 5.2.12. */
const KIND = 0x3c;
const IS_RECEIPT = 0x04;

/** Appendix B of SMPP 3.4. */
const states: ReadonlyMap<string, MessageState> = new Map([
  ["ENROUTE", MessageState.ENROUTE],
  ["DELIVRD", MessageState.DELIVERED],
  ["EXPIRED", MessageState.EXPIRED],
  ["DELETED", MessageState.DELETED],
  ["UNDELIV", MessageState.UNDELIVERABLE],
  ["ACCEPTD", MessageState.ACCEPTED],
  ["UNKNOWN", MessageState.UNKNOWN],
  ["REJECTD", MessageState.REJECTED],
]);

/** Reads a deliver_sm as this vendor's receipts are written; undefined when it is none, or names no message. */
export function readReceipt(pdu: Pdu, how: Receipts | undefined): Receipt | undefined {
  const text = textOf(pdu);
  const id = receiptId(pdu, text, how);
  if (!isReceipt(pdu, text, how) || id === undefined) return undefined;
  const stat = /\bstat:([!-~]+)/i.exec(text)?.[1] ?? "";
  const state = how?.statusMap[stat] ?? states.get(stat.toUpperCase()) ?? knownState(pdu.message_state);
  return { id: canonicalId(id, how?.receiptId, how), state };
}

/** An id as it is compared: numbers in one base, so that a hexadecimal and a decimal one meet. */
export function canonicalId(id: string, format: MessageIdFormat | undefined, how: Receipts | undefined): string {
  const text = id.trim();
  if (format === MessageIdFormat.DEC && /^[0-9]+$/.test(text)) return BigInt(text).toString();
  if (format === MessageIdFormat.HEX && /^[0-9a-f]+$/i.test(text)) return BigInt(`0x${text}`).toString();
  return how?.stripZeros === true ? text.replace(/^0+(?=.)/, "") : text;
}

function isReceipt(pdu: Pdu, text: string, how: Receipts | undefined): boolean {
  if (((pdu.esm_class ?? 0) & KIND) === IS_RECEIPT) return true;
  const hasTlv = pdu.receipted_message_id !== undefined;
  if (how?.detect === ReceiptDetection.ESM_CLASS_OR_TLV) return hasTlv;
  if (how?.detect === ReceiptDetection.ESM_CLASS_OR_TEXT) return hasTlv || /^id:\S+.*\bstat:\S+/is.test(text);
  return false;
}

function receiptId(pdu: Pdu, text: string, how: Receipts | undefined): string | undefined {
  const fromTlv = pdu.receipted_message_id;
  const fromText = /\bid:(\S+)/i.exec(text)?.[1];
  if (how?.idFrom === ReceiptIdSource.TLV) return fromTlv;
  if (how?.idFrom === ReceiptIdSource.TEXT) return fromText;
  return fromTlv ?? fromText;
}

function knownState(state: number | undefined): MessageState {
  return [...states.values()].find((each) => each === (state as MessageState)) ?? MessageState.UNKNOWN;
}

/** The library gives a text, or an object with it or its bytes. */
function textOf({ short_message: message }: Pdu): string {
  if (typeof message === "string") return message;
  const inner = message?.message ?? "";
  return typeof inner === "string" ? inner : Buffer.from(inner).toString("latin1");
}
