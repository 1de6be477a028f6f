/** When an account is locked; times in milliseconds. */
export interface LockRule {
  readonly after: number;
  readonly within: number;
  /** 0 is until it is unlocked. */
  readonly duration: number;
}

/** An account's failed logins, and whether it is locked for them. A login that succeeds forgives none. */
export class LoginGuard {
  readonly #failures: number[] = [];
  #lockedUntil = 0;

  isLocked(now: number): boolean {
    return now < this.#lockedUntil;
  }

  /** In milliseconds since 1970, Infinity until it is unlocked, undefined when it is not locked. */
  lockedUntil(now: number): number | undefined {
    return this.isLocked(now) ? this.#lockedUntil : undefined;
  }

  /** Counts a failed login, and says how many there were within the rule's time and whether it locked the account. */
  failed(rule: LockRule, now: number): { recent: number; locked: boolean } {
    while ((this.#failures[0] ?? now) <= now - rule.within) this.#failures.shift();
    this.#failures.push(now);
    const recent = this.#failures.length;
    const locked = recent >= rule.after;
    if (locked) {
      this.#lockedUntil = rule.duration === 0 ? Infinity : now + rule.duration;
      this.#failures.length = 0;
    }
    return { recent, locked };
  }

  unlock(): void {
    this.#lockedUntil = 0;
    this.#failures.length = 0;
  }
}
