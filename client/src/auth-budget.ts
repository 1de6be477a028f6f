import type { TryLimit } from "./candidates.ts";

const WINDOW_MS = 15 * 60_000;
const TRIES_PER_WINDOW = 3;
const PROBE_INTERVAL_MS = 30 * 60_000;
const SPACED_MS = 5 * 60_000;
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
  /** It was refused and not accepted since, however long ago. */
  refused: boolean;
  lastTry: number;
}

/**
 * How often a login may be tried, because failed logins get accounts and addresses banned: three tries per 15 minutes, after three
 * refusals one probe per 30 minutes; during a rotation as its limits say. Also of one that was accepted before, three at most are under way at
 * once. Each key (a connection with a credential) has its own budget.
 */
export class AuthBudget {
  readonly #attempts = new Map<string, Attempts>();
  /** The clock, in milliseconds. */
  readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  /** Takes a try if there is one. Its result is to be reported by `rejected`, `accepted` or `abandoned`. */
  take(key: string, limit: TryLimit = "BUDGET"): boolean {
    if (!this.mayTake(key, limit)) return false;
    const attempts = this.#current(key);
    const now = this.now();
    attempts.open.push(now);
    attempts.lastTry = now;
    this.#attempts.set(key, attempts);
    return true;
  }

  /** Whether `take` would give a try now. */
  mayTake(key: string, limit: TryLimit = "BUDGET"): boolean {
    return this.nextTry(key, limit) <= this.now();
  }

  /** When the next try is allowed, in milliseconds; not later than now: at once; Infinity: never. */
  nextTry(key: string, limit: TryLimit = "BUDGET"): number {
    const { proven, spent, lastTry, refused, rejections, open } = this.#current(key);
    const openEnds = open.map((time) => time + TRY_LASTS_MS);
    // It may have been changed at the vendor since, where all binds of a connection then fail at once.
    if (proven) return open.length < TRIES_PER_WINDOW ? 0 : Math.min(...openEnds);
    if (limit === "ONCE") return refused ? Infinity : Math.max(0, ...openEnds);
    if (limit === "SPACED") return Math.max(0, ...rejections.map((time) => time + SPACED_MS), ...openEnds);
    if (spent) return Math.max(lastTry + PROBE_INTERVAL_MS, ...openEnds);
    // Every open try may yet be refused, so it counts as if it were.
    // Not the clock's word: it may go on between two readings, and the try would be refused for a millisecond.
    if (rejections.length + open.length < TRIES_PER_WINDOW) return 0;
    return Math.min(...rejections.map((time) => time + WINDOW_MS), ...openEnds);
  }

  /** Forgets the key's refusals: somebody has seen to it. Tries that are under way still count. */
  renew(key: string): void {
    const attempts = this.#attempts.get(key);
    if (attempts !== undefined) Object.assign(attempts, { rejections: [], spent: false, refused: false, lastTry: 0 });
  }

  /** The keys that anything is known of. */
  keys(): string[] {
    return [...this.#attempts.keys()];
  }

  rejected(key: string): void {
    const attempts = this.#current(key);
    attempts.open.shift();
    attempts.rejections.push(this.now());
    attempts.proven = false;
    attempts.refused = true;
    if (attempts.rejections.length >= TRIES_PER_WINDOW) attempts.spent = true;
    this.#attempts.set(key, attempts);
  }

  accepted(key: string): void {
    const open = this.#current(key).open.slice(1);
    this.#attempts.set(key, { ...untried(), proven: true, open });
  }

  abandoned(key: string): void {
    this.#attempts.get(key)?.open.shift();
  }

  #current(key: string): Attempts {
    const known = this.#attempts.get(key);
    if (known === undefined) return untried();
    const now = this.now();
    known.open = known.open.filter((time) => now - time < TRY_LASTS_MS);
    if (!known.spent) known.rejections = known.rejections.filter((time) => now - time < WINDOW_MS);
    return known;
  }
}

function untried(): Attempts {
  return { rejections: [], open: [], spent: false, proven: false, refused: false, lastTry: 0 };
}
