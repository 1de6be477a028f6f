import type { Behaviour } from "./behaviour.ts";
import { receiptState } from "./receipt-state.ts";
import type { PduFields } from "./smpp.ts";
import { vendorTime } from "./vendor-time.ts";

/** esm_class of a deliver_sm that is a receipt. */
const RECEIPT = 0x04;

/** What a receipt tells about a message. */
export interface Receipt {
  /** The id as receipts write it. */
  readonly id: string;
  readonly source: string;
  readonly destination: string;
  readonly text: string;
  readonly state: string;
  /** Milliseconds since 1970. */
  readonly submitted: number;
  readonly done: number;
}

/** The deliver_sm of a receipt; its addresses are the message's, exchanged. */
export function receiptFields(receipt: Receipt, how: NonNullable<Behaviour["receipts"]>): PduFields {
  const format = how.format ?? "text";
  return {
    source_addr: receipt.destination,
    destination_addr: receipt.source,
    esm_class: RECEIPT,
    short_message: format === "tlv" ? "" : receiptText(receipt, how),
    ...(format !== "text" && {
      receipted_message_id: receipt.id,
      message_state: receiptState(receipt.state).messageState,
    }),
  };
}

/** SMPP 3.4 appendix B, with the first 20 characters of the message. */
function receiptText(receipt: Receipt, { timeZone = "UTC", dates = "minutes" }: NonNullable<Behaviour["receipts"]>) {
  const { id, state, submitted, done, text } = receipt;
  const delivered = state === "DELIVRD" ? "001" : "000";
  const [from, to] = [submitted, done].map((time) => vendorTime(time, timeZone, dates));
  return (
    `id:${id} sub:001 dlvrd:${delivered} submit date:${from} done date:${to} ` +
    `stat:${state} err:${receiptState(state).err} text:${text.slice(0, 20)}`
  );
}
