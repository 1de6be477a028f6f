import { accountOf, countForAccount, newAccountTotals, type AccountTotals } from "./account-totals.ts";
import type { Accounts } from "./accounts.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Bound, SmscEvent } from "./events.ts";
import type { Role } from "./role.ts";
import type { SmscSession } from "./session.ts";
import type { PortMode, SmppPort } from "./smpp-port.ts";
import { count, newTotals, type Totals } from "./totals.ts";

/** What an outsider may see of the simulator: no passwords. Times are RFC 3339. */
export interface SmscState {
  readonly ports: readonly number[];
  readonly portModes: { readonly [port: string]: PortMode };
  readonly accounts: readonly AccountState[];
  readonly totals: Totals;
  /** Messages that are no longer remembered, because there were too many. */
  readonly messagesForgotten: number;
}

export interface AccountState {
  readonly systemId: string;
  readonly maxBinds: number;
  readonly systemType?: string;
  readonly sessions: readonly Bound[];
  /** Binds that dead sessions keep. */
  readonly held: readonly { readonly sessionId: number; readonly role: Role; readonly until: string }[];
  /** When the account is locked: until when, or `unlocked` for until somebody does it. */
  readonly lockedUntil?: string;
  /** When other passwords will be accepted than now. */
  readonly passwordsChange: readonly string[];
  readonly behaviour: Behaviour;
  readonly totals: AccountTotals;
}

/** Counts what happens, and puts it together with how things are. */
export class StateBook {
  readonly #totals = newTotals();
  readonly #accounts = new Map<string, AccountTotals>();

  count(event: SmscEvent): void {
    count(this.#totals, event);
    const systemId = accountOf(event);
    if (systemId !== undefined) countForAccount(this.#of(systemId), event);
  }

  state(ports: readonly SmppPort[], accounts: Accounts<SmscSession>, messagesForgotten: number): SmscState {
    return {
      ports: ports.map(({ number }) => number),
      portModes: Object.fromEntries(ports.map(({ number, mode }) => [number, mode])),
      accounts: accounts.list().map(({ account, holders, held, lockedUntil, passwordsChange }) => ({
        systemId: account.systemId,
        maxBinds: account.maxBinds,
        ...(account.systemType !== undefined && { systemType: account.systemType }),
        sessions: holders.flatMap((session) => session.bound ?? []),
        held: held.map(({ until, ...rest }) => ({ ...rest, until: text(until) })),
        ...(lockedUntil !== undefined && { lockedUntil: lockedUntil === Infinity ? "unlocked" : text(lockedUntil) }),
        passwordsChange: passwordsChange.map(text),
        behaviour: account.behaviour ?? {},
        totals: structuredClone(this.#of(account.systemId)),
      })),
      totals: structuredClone(this.#totals),
      messagesForgotten,
    };
  }

  #of(systemId: string): AccountTotals {
    const totals = this.#accounts.get(systemId) ?? newAccountTotals();
    this.#accounts.set(systemId, totals);
    return totals;
  }
}

function text(time: number): string {
  return new Date(time).toISOString();
}
