import { checkedAccount, InvalidAccountError, type Account, type AccountChange } from "./account.ts";
import { patched, type Behaviour, type BehaviourPatch } from "./behaviour.ts";
import { hasRoom } from "./bind-room.ts";
import { LoginGuard, type LockRule } from "./login-guard.ts";
import { accepts, changePassword, type PasswordMode, type PasswordPeriod } from "./passwords.ts";
import type { Role } from "./role.ts";
import type { StatusName } from "./smpp.ts";

export interface BindRequest {
  readonly systemId: string;
  readonly password: string;
  readonly systemType: string;
  readonly role: Role;
}

/** Whether a bind is granted, and if not, with which command_status it is refused or that it is dropped without one. */
export type Verdict =
  | { readonly bound: number; readonly maxBinds: number }
  | {
      readonly status: StatusName;
      readonly dropped: boolean;
      /** Refused because the account is locked, whatever the password. */
      readonly locked: boolean;
      /** When it is a failed login. */
      readonly failedLogin?: { readonly recent: number; readonly locked: boolean };
    };

/** No account has this systemId. */
export class UnknownAccountError extends Error {
  override readonly name = "UnknownAccountError";
  constructor() {
    super("no account has this systemId; GET /state lists them");
  }
}

/** A bind that the vendor still counts, though its session is dead. */
export interface HeldBind {
  readonly sessionId: number;
  readonly role: Role;
  /** Milliseconds since 1970. */
  readonly until: number;
}

interface Entry<Holder> {
  account: Account;
  passwords: readonly PasswordPeriod[];
  held: readonly HeldBind[];
  readonly guard: LoginGuard;
  readonly holders: Map<Holder, Role>;
}

/** Failed logins are counted over this time where the account has no lock, in milliseconds. */
const DEFAULT_WINDOW = 900_000;
const DEFAULT_FAILURES = 3;
const DEFAULT_LOCK = 1_800_000;

/** The accounts, who is bound to each, and who may. Times are in milliseconds since 1970. */
export class Accounts<Holder> {
  readonly #entries = new Map<string, Entry<Holder>>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  list(): {
    account: Account;
    holders: readonly Holder[];
    held: readonly HeldBind[];
    lockedUntil: number | undefined;
    /** When the set of accepted passwords will change by itself. */
    passwordsChange: readonly number[];
  }[] {
    const now = this.#now();
    return [...this.#entries.values()].map((entry) => ({
      account: entry.account,
      holders: [...entry.holders.keys()],
      held: heldAt(entry, now),
      lockedUntil: entry.guard.lockedUntil(now),
      passwordsChange: [...new Set(entry.passwords.flatMap(({ from, until }) => [from, until]))]
        .filter((time) => time > now && time < Infinity)
        .sort((a, b) => a - b),
    }));
  }

  has(systemId: string): boolean {
    return this.#entries.has(systemId);
  }

  /** Throws {@link UnknownAccountError}. */
  holders(systemId: string): readonly Holder[] {
    return [...this.#entry(systemId).holders.keys()];
  }

  /** That of a vendor without faults when there is no such account. */
  behaviour(systemId: string): Behaviour {
    return this.#entries.get(systemId)?.account.behaviour ?? {};
  }

  /**
   * Changes an account, or adds it when `change` has a password and maxBinds. Sessions already bound stay bound.
   * Throws {@link InvalidAccountError}.
   */
  set(systemId: string, change: AccountChange): "added" | "changed" {
    const entry = this.#entries.get(systemId);
    const account = checkedAccount({ ...entry?.account, systemId, ...change });
    if (account.systemId !== systemId) throw new InvalidAccountError("the systemId of an account cannot change");
    if (entry) {
      entry.account = account;
      if (change.password !== undefined) this.changePassword(systemId, change.password, { mode: "REPLACE" });
      return "changed";
    }
    const passwords = [{ password: account.password, from: 0, until: Infinity }];
    this.#entries.set(systemId, { account, passwords, held: [], guard: new LoginGuard(), holders: new Map() });
    return "added";
  }

  /** Changes the account's behaviour by a JSON merge patch. Throws {@link UnknownAccountError} and InvalidFieldError. */
  behave(systemId: string, patch: BehaviourPatch): void {
    const entry = this.#entry(systemId);
    entry.account = { ...entry.account, behaviour: patched(entry.account.behaviour ?? {}, patch) };
  }

  /** Sessions already bound stay bound. Throws {@link UnknownAccountError}. */
  changePassword(systemId: string, password: string, how: PasswordMode): void {
    const entry = this.#entry(systemId);
    entry.account = { ...entry.account, password };
    entry.passwords = changePassword(entry.passwords, password, how, this.#now());
  }

  /** Takes one of the account's binds for `holder`, or says how to refuse. */
  admit(holder: Holder, request: BindRequest): Verdict {
    const entry = this.#entries.get(request.systemId);
    if (!entry) return refused("ESME_RINVSYSID");
    const { account, holders, guard } = entry;
    const { binds, lock } = account.behaviour ?? {};
    const now = this.#now();
    if (binds?.refuseWith !== undefined) return refused(binds.refuseWith);
    if (guard.isLocked(now)) {
      const { answer = "ESME_RINVPASWD" } = lock ?? {};
      return answer === "drop"
        ? { ...refused("ESME_RBINDFAIL"), locked: true, dropped: true }
        : { ...refused(answer), locked: true };
    }
    if (!accepts(entry.passwords, request.password, now)) {
      return { ...refused("ESME_RINVPASWD"), failedLogin: guard.failed(lockRule(lock), now) };
    }
    if (account.systemType !== undefined && request.systemType !== account.systemType) {
      return refused("ESME_RINVSYSTYP");
    }
    const taken = [...holders.values(), ...heldAt(entry, now).map(({ role }) => role)];
    const limits = { maxBinds: account.maxBinds, ...(binds?.perRole && { perRole: binds.perRole }) };
    if (!hasRoom(limits, taken, request.role)) {
      return { ...refused("ESME_RALYBND"), dropped: binds?.whenFull === "drop" };
    }
    holders.set(holder, request.role);
    return { bound: holders.size, maxBinds: account.maxBinds };
  }

  /** Gives the bind back: at once, or after the account's hold time when the session is `dead`. Returns until when. */
  release(holder: Holder, systemId: string, sessionId: number, dead: boolean): number | undefined {
    const entry = this.#entries.get(systemId);
    const role = entry?.holders.get(holder);
    if (!entry || role === undefined) return undefined;
    entry.holders.delete(holder);
    const now = this.#now();
    const hold = entry.account.behaviour?.binds?.hold ?? 0;
    if (!dead || hold === 0) return undefined;
    const until = now + hold * 1000;
    entry.held = [...heldAt(entry, now), { sessionId, role, until }];
    return until;
  }

  /** Gives all binds of dead sessions back, and returns how many. Throws {@link UnknownAccountError}. */
  releaseHeld(systemId: string): number {
    const entry = this.#entry(systemId);
    const released = heldAt(entry, this.#now()).length;
    entry.held = [];
    return released;
  }

  /** Throws {@link UnknownAccountError}. */
  unlock(systemId: string): void {
    this.#entry(systemId).guard.unlock();
  }

  #entry(systemId: string): Entry<Holder> {
    const entry = this.#entries.get(systemId);
    if (!entry) throw new UnknownAccountError();
    return entry;
  }
}

function heldAt({ held }: Pick<Entry<unknown>, "held">, now: number): readonly HeldBind[] {
  return held.filter(({ until }) => until > now);
}

function lockRule(lock: Behaviour["lock"]): LockRule {
  if (!lock) return { after: Infinity, within: DEFAULT_WINDOW, duration: 0 };
  return {
    after: lock.after ?? DEFAULT_FAILURES,
    within: lock.within === undefined ? DEFAULT_WINDOW : lock.within * 1000,
    duration: lock.for === undefined ? DEFAULT_LOCK : lock.for * 1000,
  };
}

function refused(status: StatusName) {
  return { status, dropped: false, locked: false };
}
