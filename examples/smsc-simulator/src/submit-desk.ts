import type { Behaviour } from "./behaviour.ts";
import { Delays } from "./delays.ts";
import { dice } from "./dice.ts";
import type { Bound, SmscEvent } from "./events.ts";
import { FIRST_MESSAGE, messageId } from "./message-id.ts";
import type { Message, Messages } from "./messages.ts";
import { RateWindow } from "./rate-window.ts";
import type { Receipts } from "./receipts.ts";
import { statusNumber, type PduFields } from "./smpp.ts";
import { decideSubmit, receiptWish } from "./submit-decision.ts";

/** A submit_sm that came on a bound session. */
export interface Submit {
  readonly source: string;
  readonly destination: string;
  readonly text: string;
  readonly registeredDelivery: number;
}

export interface SubmitDeskContext {
  readonly seed: number;
  readonly behaviour: (systemId: string) => Behaviour;
  readonly messages: Messages;
  readonly receipts: Receipts;
  readonly emit: (event: SmscEvent) => void;
  readonly now: () => number;
}

/** Takes submits and answers them as the account's behaviour has it. */
export class SubmitDesk {
  readonly #context: SubmitDeskContext;
  readonly #delays = new Delays();
  readonly #accounts = new Map<string, { readonly rate: RateWindow; readonly dice: () => number }>();
  #next = FIRST_MESSAGE;

  constructor(context: SubmitDeskContext) {
    this.#context = context;
  }

  /** `respond` sends submit_sm_resp, or returns false when it cannot. */
  take({ systemId, sessionId }: Bound, submit: Submit, respond: (fields: PduFields) => boolean): void {
    const { behaviour, receipts, emit, now } = this.#context;
    const how = behaviour(systemId);
    const account = this.#account(systemId);
    const throttled = !account.rate.admits(how.throttle?.perSecond ?? Infinity, now());
    const wish = receiptWish(submit.registeredDelivery);
    const { answer, delay, taken, receipt } = decideSubmit(how, throttled, wish, account.dice);
    const message = taken ? this.#message(systemId, sessionId, submit, how.ids ?? {}) : undefined;
    emit({ kind: "submit", systemId, result: answer ?? "unanswered", taken });
    if (answer !== undefined) {
      const fields = message ? { message_id: message.id } : { command_status: statusNumber(answer) };
      this.#delays.later(delay, () => {
        const sent = respond(fields);
        if (message) message.answered = sent;
      });
    }
    // After the answer, so that a receipt without a delay does not come before the id it names.
    if (message && receipt)
      receipts.schedule(message, receipt.state, receipt.delay + (answer === undefined ? 0 : delay));
  }

  close(): void {
    this.#delays.close();
  }

  #message(systemId: string, sessionId: number, submit: Submit, ids: NonNullable<Behaviour["ids"]>): Message {
    const number = this.#next++;
    const format = ids.response ?? "hex";
    const { source, destination, text } = submit;
    const message: Message = {
      number,
      id: messageId(number, format),
      receiptId: messageId(number, ids.receipt ?? format),
      systemId,
      sessionId,
      source,
      destination,
      text,
      submitted: this.#context.now(),
      answered: false,
      state: undefined,
      receipt: "none",
    };
    this.#context.messages.add(message);
    return message;
  }

  #account(systemId: string): { readonly rate: RateWindow; readonly dice: () => number } {
    const account = this.#accounts.get(systemId) ?? {
      rate: new RateWindow(),
      dice: dice(this.#context.seed, systemId),
    };
    this.#accounts.set(systemId, account);
    return account;
  }
}
