import { checkedBehaviour, type Behaviour } from "./behaviour.ts";
import { InvalidFieldError } from "./fields.ts";

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
  /** Default: a vendor without faults that sends no receipts. */
  readonly behaviour?: Behaviour;
}

/** New values for the fields that change. */
export type AccountChange = Partial<Omit<Account, "systemId">>;

/** The value is not an account; the message names the field and never quotes what was in it. */
export class InvalidAccountError extends Error {
  override readonly name = "InvalidAccountError";
}

/** Reads an account from outside (a file, a request). Throws {@link InvalidAccountError}. */
export function checkedAccount(value: unknown): Account {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidAccountError("an account must be a JSON object");
  }
  const { systemId, password, maxBinds, systemType, behaviour, ...unknown } = value as Record<string, unknown>;
  if (Object.keys(unknown).length > 0) {
    // Unnamed: a password may have been typed in the place of a name.
    throw new InvalidAccountError(
      "an account has only the fields systemId, password, maxBinds, systemType and behaviour",
    );
  }
  if (!isText(systemId, 1, 64)) throw new InvalidAccountError("systemId must be 1 to 64 printable ASCII characters");
  if (!isText(password, 0, 100)) throw new InvalidAccountError("password must be 0 to 100 printable ASCII characters");
  if (typeof maxBinds !== "number" || !Number.isInteger(maxBinds) || maxBinds < 0 || maxBinds > 1000) {
    throw new InvalidAccountError("maxBinds must be a whole number from 0 to 1000");
  }
  if (systemType !== undefined && !isText(systemType, 0, 12)) {
    throw new InvalidAccountError("systemType must be 0 to 12 printable ASCII characters");
  }
  return {
    systemId,
    password,
    maxBinds,
    ...(systemType !== undefined && { systemType }),
    ...(behaviour !== undefined && { behaviour: behaviourOf(behaviour) }),
  };
}

function behaviourOf(value: unknown): Behaviour {
  try {
    return checkedBehaviour(value);
  } catch (cause) {
    if (!(cause instanceof InvalidFieldError)) throw cause;
    throw new InvalidAccountError(cause.message, { cause });
  }
}

function isText(value: unknown, min: number, max: number): value is string {
  return typeof value === "string" && value.length >= min && value.length <= max && /^[ -~]*$/.test(value);
}
