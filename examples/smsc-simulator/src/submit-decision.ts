import type { Behaviour } from "./behaviour.ts";
import { pickShare } from "./dice.ts";

/** What becomes of a submit_sm. Times are in milliseconds. */
export interface SubmitDecision {
  /** The command_status of the answer, or undefined for none at all. */
  readonly answer: string | undefined;
  /** Until the answer. */
  readonly delay: number;
  /** Whether the vendor has the message, whatever the client is told. */
  readonly taken: boolean;
  /** Of a message that is taken; undefined when it gets no receipt. */
  readonly receipt: { readonly state: string; readonly delay: number } | undefined;
}

/**
 * Decides a submit. It always throws the dice four times, so that the fate of the n-th submit of an account depends on the
 * seed alone and not on what else was switched on before.
 */
export function decideSubmit(
  behaviour: Behaviour,
  throttled: boolean,
  wantsReceipt: ReceiptWish,
  dice: () => number,
): SubmitDecision {
  const [fate, jitter, stateThrow, receiptJitter] = [dice(), dice(), dice(), dice()];
  const { throttle, latency, errors, unanswered, receipts } = behaviour;
  // A vendor throttles in front of what makes the latency.
  if (throttled) return refused(throttle?.status ?? "ESME_RTHROTTLED", 0);
  const delay = milliseconds(latency?.fixed ?? 0, latency?.jitter ?? 0, jitter);
  const silent = unanswered?.share ?? 0;
  if (fate < silent && unanswered?.taken === false)
    return { answer: undefined, delay, taken: false, receipt: undefined };
  const error = fate < silent ? undefined : pickShare(errors ?? {}, fate - silent);
  if (error !== undefined) return refused(error, delay);
  const state = receipts && (pickShare(receipts.states ?? {}, stateThrow) ?? "DELIVRD");
  const wished =
    receipts?.always === true || wantsReceipt === "always" || (wantsReceipt === "failure" && isFailure(state));
  const receipt =
    state !== undefined && state !== "none" && wished
      ? { state, delay: milliseconds(receipts?.delay ?? 0, receipts?.jitter ?? 0, receiptJitter) }
      : undefined;
  return { answer: fate < silent ? undefined : "ESME_ROK", delay, taken: true, receipt };
}

export type ReceiptWish = "always" | "failure" | "never";

/** What registered_delivery asks for (SMPP 3.4, 5.2.17). */
export function receiptWish(registeredDelivery: number): ReceiptWish {
  const receipt = registeredDelivery & 0x03;
  return receipt === 1 ? "always" : receipt === 2 ? "failure" : "never";
}

function refused(answer: string, delay: number): SubmitDecision {
  return { answer, delay, taken: false, receipt: undefined };
}

function isFailure(state: string | undefined): boolean {
  return state !== "DELIVRD" && state !== "ACCEPTD";
}

function milliseconds(fixed: number, jitter: number, throw_: number): number {
  return Math.round((fixed + jitter * throw_) * 1000);
}
