import type { Pdu } from "./smpp.ts";

/** Called once: with the answer, or with undefined when none will come. */
export type Answered = (answer: Pdu | undefined) => void;

/** The requests of one session that the client has not answered yet. */
export class PendingRequests {
  readonly #waiting = new Map<number, Answered>();
  #sequence = 0;

  /** Returns the sequence_number to send the request with. */
  begin(answered: Answered): number {
    this.#sequence = (this.#sequence % 0x7fffffff) + 1;
    this.#waiting.set(this.#sequence, answered);
    return this.#sequence;
  }

  /**
   * A generic_nack counts as an answer too: the client is there, it only lacks the command. An answer to nothing that was
   * asked is passed over.
   */
  answer(pdu: Pdu): void {
    const answered = this.#waiting.get(pdu.sequence_number);
    this.#waiting.delete(pdu.sequence_number);
    answered?.(pdu);
  }

  /** No answer will come any more. */
  abandon(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const answered of waiting) answered(undefined);
  }
}
