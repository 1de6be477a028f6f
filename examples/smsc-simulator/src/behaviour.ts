import {
  flag,
  InvalidFieldError,
  integer,
  number,
  object,
  oneOf,
  seconds,
  share,
  shares,
  type Check,
} from "./fields.ts";
import { idFormats } from "./message-id.ts";
import { finalStates } from "./receipt-state.ts";
import { isStatus, type StatusName } from "./smpp.ts";
import { checkTimeZone } from "./vendor-time.ts";

/** How long a dead session keeps its bind when `hold` is just `true`, in seconds. */
const DEFAULT_HOLD = 120;

const hold: Check<number> = (value, path) => (value === true ? DEFAULT_HOLD : seconds(value, path));

const roleLimit = integer(0, 1000);

/** What a failed bind may be answered with. */
const bindStatus = oneOf<StatusName>(
  "ESME_RSYSERR",
  "ESME_RBINDFAIL",
  "ESME_RINVPASWD",
  "ESME_RINVSYSID",
  "ESME_RALYBND",
  "ESME_RTHROTTLED",
);

const behaviourFields = object({
  /** More segments (submit_sm) than this in any second are refused with `status` (default ESME_RTHROTTLED). */
  throttle: object({ perSecond: integer(0, 100_000), status: oneOf("ESME_RTHROTTLED", "ESME_RMSGQFUL") }),
  /** Of submit_sm_resp: between `fixed` and `fixed + jitter`. */
  latency: object({ fixed: seconds, jitter: seconds }),
  /** Which share of the submits is refused with which command_status. */
  errors: shares((key) => isStatus(key) && key !== "ESME_ROK", "a command_status such as ESME_RSYSERR or 0x0401"),
  /** A share of the submits gets no answer, and the message is delivered all the same unless `taken` is false. */
  unanswered: object({ share, taken: flag }),
  /** What a half-dead server does not answer; `everything` includes binds, and it sends nothing of its own either. */
  mute: oneOf("none", "enquire_link", "submit_sm", "everything"),
  /** Receipts are sent when this is there. */
  receipts: object({
    /** From the submit, with up to `jitter` more. */
    delay: seconds,
    jitter: seconds,
    /** Shares of the final states; what is left of 1 is DELIVRD, and `none` gets no receipt. */
    states: shares((key) => key === "none" || finalStates.includes(key), "none or a final state such as UNDELIV"),
    /** As text in short_message (SMPP appendix B), as TLVs, or both; default text. */
    format: oneOf("text", "tlv", "both"),
    /** On which bind, as far as there is one: any in turn, the one of the submit, or another; default any. */
    over: oneOf("any", "same", "other"),
    /** Of the text's dates: UTC, Europe/Berlin, +03:00; default UTC. */
    timeZone: checkTimeZone,
    dates: oneOf("minutes", "seconds"),
    /** Also for messages that did not ask for one. */
    always: flag,
  }),
  /** How the message id is written in submit_sm_resp (default hex) and in the receipt (default: as in the response). */
  ids: object({ response: oneOf(...idFormats), receipt: oneOf(...idFormats) }),
  binds: object({
    /** Within maxBinds; dead sessions that keep their bind count too. */
    perRole: object({ transmitter: roleLimit, receiver: roleLimit, transceiver: roleLimit }),
    /** One bind too many is answered with ESME_RALYBND (default), or dropped without an answer. */
    whenFull: oneOf("refuse", "drop"),
    /** A session that ends without unbind keeps its bind for so long; true is 120. */
    hold,
    /** Every bind fails with this, whatever its password: the vendor's own outage. */
    refuseWith: bindStatus,
  }),
  /**
   * After so many failed logins (default 3) `within` a time (900), every bind is refused `for` a time (1800; 0 is until it is
   * unlocked) with `answer` (default ESME_RINVPASWD).
   */
  lock: object({
    after: integer(1, 1000),
    within: number(1, 86_400, "seconds"),
    for: seconds,
    answer: oneOf("ESME_RINVPASWD", "ESME_RINVSYSID", "ESME_RBINDFAIL", "drop"),
  }),
});

/** How an account is treated beyond the protocol; an empty one is a vendor without faults. Times are in seconds. */
export type Behaviour = ReturnType<typeof behaviourFields>;

/** Reads a behaviour from outside. Throws InvalidFieldError. */
export function checkedBehaviour(value: unknown, path = "behaviour"): Behaviour {
  return behaviourFields(value, path);
}

/** Reads a change to a behaviour: its fields are as in a behaviour, or null. Throws InvalidFieldError. */
export function checkedPatch(patch: unknown, path: string): BehaviourPatch {
  if (!isObject(patch)) throw new InvalidFieldError(`${path} must be a JSON object`);
  checkedBehaviour(merged({}, patch), path);
  return patch;
}

/** A JSON merge patch of a {@link Behaviour} (RFC 7396): null takes a field away. */
export type BehaviourPatch = Readonly<Record<string, unknown>>;

/**
 * `behaviour` with the fields of `patch` set, and those removed that are null there. Throws InvalidFieldError, as where shares
 * that were right by themselves add up to too much.
 */
export function patched(behaviour: Behaviour, patch: BehaviourPatch, path = "behaviour"): Behaviour {
  return checkedBehaviour(merged(behaviour, patch), path);
}

function merged(target: unknown, patch: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result = new Map<string, unknown>(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, isObject(value) ? merged(result.get(key), value) : value);
  }
  return Object.fromEntries(result);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
