const WINDOW_MS = 15 * 60_000;
const TRIES_PER_WINDOW = 3;
const PROBE_INTERVAL_MS = 30 * 60_000;
/** A try that nobody reported on has ended by then: longer than any connect and bind timer. */
const TRY_LASTS_MS = 2 * 60_000;

interface Attempts {
  /** When vendors refused, within the window; all of them once the budget is spent. */
  rejections: number[];
  /** When the tries began that have no result yet. */
  open: number[];
  /** The budget is spent: one probe at a time, until one is accepted. */
  spent: boolean;
  /** A bind with it was accepted and none refused since. */
  proven: boolean;
  lastTry: number;
}

/**
 * How often a login may be tried, because failed logins get accounts and addresses banned: three tries per 15 minutes, after three
 * refusals one probe per 30 minutes. Each key (a connection with a credential) has its own budget.
 */
export class AuthBudget {
  readonly #attempts = new Map<string, Attempts>();
  /** The clock, in milliseconds. */
  readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  /** Takes a try if there is one. Its result is to be reported by `rejected`, `accepted` or `abandoned`. */
  take(key: string): boolean {
    const attempts = this.#current(key);
    if (attempts.proven) return true;
    const now = this.now();
    if (this.#nextTry(attempts) > now) return false;
    attempts.open.push(now);
    attempts.lastTry = now;
    this.#attempts.set(key, attempts);
    return true;
  }

  /** When the next try is allowed, in milliseconds; not later than now: at once. */
  nextTry(key: string): number {
    const attempts = this.#current(key);
    return attempts.proven ? this.now() : this.#nextTry(attempts);
  }

  rejected(key: string): void {
    const attempts = this.#current(key);
    attempts.open.shift();
    attempts.rejections.push(this.now());
    attempts.proven = false;
    if (attempts.rejections.length >= TRIES_PER_WINDOW) attempts.spent = true;
    this.#attempts.set(key, attempts);
  }

  accepted(key: string): void {
    this.#attempts.set(key, { rejections: [], open: [], spent: false, proven: true, lastTry: 0 });
  }

  abandoned(key: string): void {
    this.#attempts.get(key)?.open.shift();
  }

  #current(key: string): Attempts {
    const known = this.#attempts.get(key);
    if (known === undefined) return { rejections: [], open: [], spent: false, proven: false, lastTry: 0 };
    const now = this.now();
    known.open = known.open.filter((time) => now - time < TRY_LASTS_MS);
    if (!known.spent) known.rejections = known.rejections.filter((time) => now - time < WINDOW_MS);
    return known;
  }

  #nextTry({ spent, lastTry, rejections, open }: Attempts): number {
    const openEnds = open.map((time) => time + TRY_LASTS_MS);
    if (spent) return Math.max(lastTry + PROBE_INTERVAL_MS, ...openEnds);
    // Every open try may yet be refused, so it counts as if it were.
    // Not the clock's word: it may go on between two readings, and the try would be refused for a millisecond.
    if (rejections.length + open.length < TRIES_PER_WINDOW) return 0;
    return Math.min(...rejections.map((time) => time + WINDOW_MS), ...openEnds);
  }
}
