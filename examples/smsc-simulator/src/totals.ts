import type { SmscEvent } from "./events.ts";
import type { StatusName } from "./smpp.ts";

/** Counted since the simulator started, over all accounts. */
export interface Totals {
  bindsAccepted: number;
  /** By the command_status the bind was refused with; a dropped one counts as what it would have been answered. */
  bindsRefused: { [status in StatusName]?: number };
  enquireLinksAnswered: number;
  enquireLinksSent: number;
  /** Requests of mute accounts, which got no answer. */
  requestsIgnored: number;
  /** Unbinds in either direction. */
  unbinds: number;
  /** TCP connections that ended, bound or not. */
  closes: number;
  /** submit_sm whose message the simulator took, whether or not the client was told. */
  messagesReceived: number;
  /** submit_sm answered with anything but ESME_ROK. */
  messagesRefused: number;
}

export function newTotals(): Totals {
  return {
    bindsAccepted: 0,
    bindsRefused: {},
    enquireLinksAnswered: 0,
    enquireLinksSent: 0,
    requestsIgnored: 0,
    unbinds: 0,
    closes: 0,
    messagesReceived: 0,
    messagesRefused: 0,
  };
}

/** Adds `event` to `totals`. */
export function count(totals: Totals, event: SmscEvent): void {
  switch (event.kind) {
    case "bind-accepted":
      totals.bindsAccepted++;
      return;
    case "bind-refused":
      totals.bindsRefused[event.status] = (totals.bindsRefused[event.status] ?? 0) + 1;
      return;
    case "unbind":
      totals.unbinds++;
      return;
    case "closed":
      totals.closes++;
      return;
    case "enquire-link-answered":
      totals.enquireLinksAnswered++;
      return;
    case "enquire-link-sent":
      totals.enquireLinksSent++;
      return;
    case "ignored":
      totals.requestsIgnored++;
      return;
    case "submit":
      if (event.taken) totals.messagesReceived++;
      else if (event.result !== "unanswered") totals.messagesRefused++;
      return;
    default:
      return;
  }
}
