/** One bound session as the simulator sees it: what a vendor's NOC would say on the phone. */
export interface VendorSession {
  readonly sessionId: number;
  readonly port: number;
  readonly role: string;
  /** RFC 3339 */
  readonly since: string;
}

export interface SimulatorState {
  readonly accounts: readonly { readonly systemId: string; readonly sessions: readonly VendorSession[] }[];
  readonly totals: {
    readonly bindsAccepted: number;
    readonly bindsRefused: Readonly<Record<string, number>>;
    readonly unbinds: number;
    readonly messagesReceived: number;
  };
}

/** What GET /state of the simulator's control port says. */
export async function simulatorState(controlPort: number, signal: AbortSignal): Promise<SimulatorState> {
  const response = await fetch(`http://127.0.0.1:${controlPort}/state`, { signal });
  return (await response.json()) as SimulatorState;
}

export function sessionIds(sessions: readonly VendorSession[]): string {
  return sessions.map(({ sessionId }) => sessionId).join(", ");
}
