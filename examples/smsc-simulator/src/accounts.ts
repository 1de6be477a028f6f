import type { StatusName } from "./smpp.ts";

/** What a vendor agrees on with a customer. */
export interface Account {
  /** 1–64 printable ASCII characters. */
  readonly systemId: string;
  /** 0–100 printable ASCII characters. */
  readonly password: string;
  /** How many sessions may be bound at once, over all ports and roles; 0 bars the account. */
  readonly maxBinds: number;
  /** When given, a bind must name exactly this system_type. */
  readonly systemType?: string;
}

/** New values for the fields that change. */
export type AccountChange = Partial<Omit<Account, "systemId">>;

export interface BindRequest {
  readonly systemId: string;
  readonly password: string;
  readonly systemType: string;
}

/** The value is not an account; the message names the field and never quotes what was in it. */
export class InvalidAccountError extends Error {
  override readonly name = "InvalidAccountError";
}

interface Entry<Holder> {
  account: Account;
  readonly holders: Set<Holder>;
}

/** The accounts and who is bound to each. */
export class Accounts<Holder> {
  readonly #entries = new Map<string, Entry<Holder>>();

  list(): { account: Account; holders: readonly Holder[] }[] {
    return [...this.#entries.values()].map(({ account, holders }) => ({ account, holders: [...holders] }));
  }

  /** Undefined when there is no such account. */
  holders(systemId: string): readonly Holder[] | undefined {
    const entry = this.#entries.get(systemId);
    return entry && [...entry.holders];
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
      return "changed";
    }
    this.#entries.set(systemId, { account, holders: new Set() });
    return "added";
  }

  /** Takes one of the account's binds for `holder`, or says with which command_status to refuse. */
  admit(holder: Holder, request: BindRequest): { bound: number; maxBinds: number } | { refused: StatusName } {
    const entry = this.#entries.get(request.systemId);
    if (!entry) return { refused: "ESME_RINVSYSID" };
    const { account, holders } = entry;
    if (request.password !== account.password) return { refused: "ESME_RINVPASWD" };
    if (account.systemType !== undefined && request.systemType !== account.systemType) {
      return { refused: "ESME_RINVSYSTYP" };
    }
    if (holders.size >= account.maxBinds) return { refused: "ESME_RALYBND" };
    holders.add(holder);
    return { bound: holders.size, maxBinds: account.maxBinds };
  }

  /** Gives the bind back; the next bind may take it at once. */
  release(holder: Holder, systemId: string): void {
    this.#entries.get(systemId)?.holders.delete(holder);
  }
}

/** Reads an account from outside (a file, a request). Throws {@link InvalidAccountError}. */
export function checkedAccount(value: unknown): Account {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidAccountError("an account must be a JSON object");
  }
  const { systemId, password, maxBinds, systemType, ...unknown } = value as Record<string, unknown>;
  if (Object.keys(unknown).length > 0) {
    throw new InvalidAccountError("an account has only the fields systemId, password, maxBinds and systemType");
  }
  if (!isText(systemId, 1, 64)) throw new InvalidAccountError("systemId must be 1 to 64 printable ASCII characters");
  if (!isText(password, 0, 100)) throw new InvalidAccountError("password must be 0 to 100 printable ASCII characters");
  if (typeof maxBinds !== "number" || !Number.isInteger(maxBinds) || maxBinds < 0 || maxBinds > 1000) {
    throw new InvalidAccountError("maxBinds must be a whole number from 0 to 1000");
  }
  if (systemType === undefined) return { systemId, password, maxBinds };
  if (!isText(systemType, 0, 12))
    throw new InvalidAccountError("systemType must be 0 to 12 printable ASCII characters");
  return { systemId, password, maxBinds, systemType };
}

function isText(value: unknown, min: number, max: number): value is string {
  return typeof value === "string" && value.length >= min && value.length <= max && /^[ -~]*$/.test(value);
}
