/** A final state as receipts name it, with its message_state (SMPP 3.4, 5.2.28) and the `err` a vendor puts beside it. */
const states: { readonly [name: string]: { readonly messageState: number; readonly err: string } } = {
  DELIVRD: { messageState: 2, err: "000" },
  EXPIRED: { messageState: 3, err: "027" },
  DELETED: { messageState: 4, err: "005" },
  UNDELIV: { messageState: 5, err: "001" },
  ACCEPTD: { messageState: 6, err: "000" },
  UNKNOWN: { messageState: 7, err: "255" },
  REJECTD: { messageState: 8, err: "011" },
};

export const finalStates: readonly string[] = Object.keys(states);

/** Throws on a name that is not in {@link finalStates}. */
export function receiptState(name: string): { readonly messageState: number; readonly err: string } {
  const state = states[name];
  if (!state) throw new RangeError("not a final state");
  return state;
}
