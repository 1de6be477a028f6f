import type { SmscEvent } from "./events.ts";
import type { StatusName } from "./smpp.ts";

/** Counted since the simulator started. */
export interface Totals {
  bindsAccepted: number;
  /** By the command_status the bind was refused with. */
  bindsRefused: { [status in StatusName]?: number };
  enquireLinksAnswered: number;
  enquireLinksSent: number;
  /** Unbinds in either direction. */
  unbinds: number;
  /** TCP connections that ended, bound or not. */
  closes: number;
  messagesReceived: number;
  /** submit_sm refused because the session may not transmit or the PDU is cut short. */
  messagesRefused: number;
}

export function newTotals(): Totals {
  return {
    bindsAccepted: 0,
    bindsRefused: {},
    enquireLinksAnswered: 0,
    enquireLinksSent: 0,
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
    case "message-received":
      totals.messagesReceived++;
      return;
    case "message-refused":
      totals.messagesRefused++;
      return;
    case "listening":
    case "account-set":
    case "stopping":
      return;
    default:
      event satisfies never;
  }
}
