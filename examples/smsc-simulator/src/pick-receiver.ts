export interface Receiver {
  readonly sessionId: number;
}

/**
 * The bind that a receipt goes over: `any` takes them in turn, `same` and `other` look at the session of the submit, as far
 * as there is a choice. Undefined when there are no receivers.
 */
export function pickReceiver<R extends Receiver>(
  receivers: readonly R[],
  submittedOn: number,
  over: "any" | "same" | "other",
  turn: number,
): R | undefined {
  const preferred = receivers.filter(({ sessionId }) => (sessionId === submittedOn) === (over === "same"));
  const choice = over === "any" || preferred.length === 0 ? receivers : preferred;
  return choice[turn % choice.length];
}
