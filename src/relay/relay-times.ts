/** How often the relay does what, in milliseconds. */
export interface RelayTimes {
  /** How often it looks for changes, and at the stream, without being woken. */
  readonly poll: number;
  /** How long the stream may stay behind before one publishes without the lock: its holder is frozen. */
  readonly stall: number;
  /** How often the whole stream is compared with history. */
  readonly reconcile: number;
  /** How soon, after somebody else has published. */
  readonly reconcileSoon: number;
  /** The first pause after a failure; each further one is twice as long, up to `longestPause`. */
  readonly pause: number;
  readonly longestPause: number;
}

export const RELAY_TIMES: RelayTimes = {
  poll: 5_000,
  stall: 15_000,
  reconcile: 60 * 60_000,
  reconcileSoon: 60_000,
  pause: 1_000,
  longestPause: 10_000,
};
