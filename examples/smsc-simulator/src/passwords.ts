/** A password and when it is accepted, from inclusive, until exclusive, in milliseconds since 1970. */
export interface PasswordPeriod {
  readonly password: string;
  readonly from: number;
  readonly until: number;
}

/** How a vendor changes a password. Times in milliseconds since 1970. */
export type PasswordMode =
  /** The old one is refused at once. */
  | { readonly mode: "REPLACE" }
  /** The old one until `time`, the new one from then on. */
  | { readonly mode: "SWITCH_AT"; readonly time: number }
  /** Both from now on, the old one until `oldUntil`; Infinity leaves it until the next change. */
  | { readonly mode: "BOTH_VALID"; readonly oldUntil: number };

export function accepts(periods: readonly PasswordPeriod[], password: string, now: number): boolean {
  return periods.some((period) => period.password === password && period.from <= now && now < period.until);
}

/** The periods after the vendor has decided, at `now`, to change to `password`. A change not yet due is given up for it. */
export function changePassword(
  periods: readonly PasswordPeriod[],
  password: string,
  how: PasswordMode,
  now: number,
): PasswordPeriod[] {
  const from = how.mode === "SWITCH_AT" ? Math.max(now, how.time) : now;
  const oldUntil = how.mode === "BOTH_VALID" ? how.oldUntil : from;
  const givenUp = periods.filter((period) => period.from > now).map((period) => period.from);
  const old = periods
    .filter((period) => period.from <= now && now < period.until)
    // One that ends only because of the change given up would go on for ever.
    .map((period) => ({
      ...period,
      until: givenUp.includes(period.until) ? oldUntil : Math.min(period.until, oldUntil),
    }))
    .filter((period) => period.until > now);
  return [...old, { password, from, until: Infinity }];
}
