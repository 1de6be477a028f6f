/** Milliseconds before a message that couldn't be handled comes again: the first time, and at most. */
export interface RedeliveryPauses {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Long enough for a database's failover after a few tries, short enough to be soon back. */
export const REDELIVERY_PAUSES: RedeliveryPauses = { firstMs: 1_000, maxMs: 15_000 };

/** The pause after the n-th delivery failed (n from 1), in milliseconds: twice as long every time. */
export function redeliveryPause(deliveries: number, { firstMs, maxMs }: RedeliveryPauses): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(deliveries - 1, 20));
}
