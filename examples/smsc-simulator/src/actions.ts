import { checkedAccount, InvalidAccountError, type AccountChange } from "./account.ts";
import { checkedPatch, type BehaviourPatch } from "./behaviour.ts";
import { ascii, flag, InvalidFieldError, integer, object, oneOf, seconds, type Check } from "./fields.ts";
import { portModes } from "./smpp-port.ts";

const account = ascii(1, 64);
const password = ascii(0, 100);

/** Seconds from when the action is done, or a time as RFC 3339 has it. */
const moment: Check<number | Date> = (value, path) => {
  if (typeof value === "number") return seconds(value, path);
  const isTime =
    typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value);
  const time = new Date(isTime ? value : Number.NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidFieldError(`${path} must be seconds from now, or a time such as 2030-01-31T02:00:00Z`);
};

const patch: Check<BehaviourPatch> = checkedPatch;

/** Checked for its fields here, and for what is missing together with the account that it changes. */
const change: Check<AccountChange> = (value, path) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidFieldError(`${path} must be a JSON object`);
  }
  try {
    const { systemId: _, ...checked } = checkedAccount({ password: "", maxBinds: 0, ...value, systemId: "any" });
    return Object.fromEntries(Object.entries(checked).filter(([key]) => key in value));
  } catch (cause) {
    if (!(cause instanceof InvalidAccountError)) throw cause;
    throw new InvalidFieldError(`${path}: ${cause.message}`, { cause });
  }
};

const actions = {
  /** Adds or changes an account. */
  account: object({ account, set: change }, ["account", "set"]),
  behave: object({ account, set: patch }, ["account", "set"]),
  /** Back to a vendor without faults that sends no receipts. */
  normal: object({ account }, ["account"]),
  password: object(
    {
      account,
      password,
      mode: oneOf("REPLACE", "SWITCH_AT", "BOTH_VALID"),
      /** SWITCH_AT: when the vendor says it will change. */
      switchAt: moment,
      /** SWITCH_AT: how much later it really does, in seconds. */
      lateBy: seconds,
      /** BOTH_VALID: the end of the old one; without it, the next change. */
      oldUntil: moment,
    },
    ["account", "password", "mode"],
  ),
  /** Cuts the account's sessions, those of one role if it is named; with `hold` the vendor goes on counting them for the hold time. */
  disconnect: object(
    {
      account,
      role: oneOf("transmitter", "receiver", "transceiver"),
      how: oneOf("close", "reset"),
      hold: flag,
    },
    ["account"],
  ),
  /** Frees the binds that dead sessions keep. */
  release: object({ account }, ["account"]),
  unlock: object({ account }, ["account"]),
  /** What new connections meet, on one port or on all. */
  port: object({ port: integer(1, 65_535), mode: oneOf(...portModes) }, ["mode"]),
  /** Writes a line into the log. */
  say: object({ text: ascii(1, 200) }, ["text"]),
} as const;

type Actions = typeof actions;
export type Action = { [Name in keyof Actions]: { readonly do: Name } & ReturnType<Actions[Name]> }[keyof Actions];

const name = oneOf(...(Object.keys(actions) as (keyof Actions)[]));

/** Reads an action from outside: `{"do": "behave", "account": "acme01", "set": {…}}`. Throws InvalidFieldError. */
export function checkedAction(value: unknown, path = ""): Action {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidFieldError(`${path}an action must be a JSON object`);
  }
  const { do: wanted, ...fields } = value as Record<string, unknown>;
  const action = name(wanted, `${path}do`);
  const checked: Action = { do: action, ...actions[action](fields, path) } as Action;
  if (checked.do === "password") checkTimes(checked, path);
  return checked;
}

/** A time that its mode has no use for is a mistake that would go unnoticed. */
function checkTimes({ mode, switchAt, lateBy, oldUntil }: Action & { do: "password" }, path: string): void {
  if (mode === "SWITCH_AT" && switchAt === undefined) throw new InvalidFieldError(`${path}switchAt is missing`);
  if (mode !== "SWITCH_AT" && (switchAt ?? lateBy) !== undefined) {
    throw new InvalidFieldError(`${path}switchAt and lateBy are for mode SWITCH_AT only`);
  }
  if (mode !== "BOTH_VALID" && oldUntil !== undefined) {
    throw new InvalidFieldError(`${path}oldUntil is for mode BOTH_VALID only`);
  }
}
