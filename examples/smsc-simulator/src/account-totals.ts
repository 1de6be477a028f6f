import type { SmscEvent } from "./events.ts";

/** What happened to one account since it was added. */
export interface AccountTotals {
  bindsAccepted: number;
  /** The most sessions bound at once. */
  bindsPeak: number;
  /** By command_status; a dropped bind counts as `dropped`. */
  bindsRefused: { [status: string]: number };
  /** Binds with a wrong password, on an account that was not locked. */
  failedLogins: number;
  /** The most of them within the lock's `within` (15 minutes without a lock). */
  failedLoginsPeak: number;
  /** How often the account was locked for failed logins. */
  locks: number;
  /** Binds while it was locked. */
  refusedWhileLocked: number;
  /** submit_sm by the command_status answered; `unanswered` and `ignored` (by a mute account) got no answer. */
  submits: { [result: string]: number };
  /** Messages the vendor has, whatever the client was told. */
  messagesTaken: number;
  receipts: {
    /** Not due yet. */
    scheduled: number;
    /** Due, while no bind can take them. */
    waiting: number;
    /** Sent, not answered yet. */
    unconfirmed: number;
    /** How often a deliver_sm was sent; a session that ends before its answer makes it come again. */
    sent: number;
    confirmed: number;
    refused: number;
  };
}

export function newAccountTotals(): AccountTotals {
  return {
    bindsAccepted: 0,
    bindsPeak: 0,
    bindsRefused: {},
    failedLogins: 0,
    failedLoginsPeak: 0,
    locks: 0,
    refusedWhileLocked: 0,
    submits: {},
    messagesTaken: 0,
    receipts: { scheduled: 0, waiting: 0, unconfirmed: 0, sent: 0, confirmed: 0, refused: 0 },
  };
}

/** The account that `event` counts for; undefined when it counts for none. */
export function accountOf(event: SmscEvent): string | undefined {
  switch (event.kind) {
    case "bind-accepted":
      return event.session.systemId;
    case "bind-refused":
      return event.known ? event.systemId : undefined;
    case "submit":
    case "receipt":
    case "ignored":
      return event.systemId;
    default:
      return undefined;
  }
}

/** Adds `event` to the totals of its account. */
export function countForAccount(totals: AccountTotals, event: SmscEvent): void {
  switch (event.kind) {
    case "bind-accepted":
      totals.bindsAccepted++;
      totals.bindsPeak = Math.max(totals.bindsPeak, event.bound);
      return;
    case "bind-refused":
      add(totals.bindsRefused, event.dropped ? "dropped" : event.status);
      if (event.locked) totals.refusedWhileLocked++;
      if (!event.failedLogin) return;
      totals.failedLogins++;
      totals.failedLoginsPeak = Math.max(totals.failedLoginsPeak, event.failedLogin.recent);
      if (event.failedLogin.locked) totals.locks++;
      return;
    case "submit":
      add(totals.submits, event.result);
      if (event.taken) totals.messagesTaken++;
      return;
    case "ignored":
      if (event.command === "submit_sm") add(totals.submits, "ignored");
      return;
    case "receipt":
      return countReceipt(totals.receipts, event);
    default:
      return;
  }
}

function countReceipt(receipts: AccountTotals["receipts"], { from, to }: SmscEvent & { kind: "receipt" }): void {
  if (from === "scheduled" || from === "waiting") receipts[from]--;
  if (from === "sent") receipts.unconfirmed--;
  if (to === "none") return;
  receipts[to]++;
  if (to === "sent") receipts.unconfirmed++;
}

function add(counts: { [name: string]: number }, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
