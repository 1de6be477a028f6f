/** One bound session as the simulator sees it: what a vendor's NOC would say on the phone. */
export interface VendorSession {
  readonly sessionId: number;
  readonly port: number;
  readonly role: string;
  /** RFC 3339 */
  readonly since: string;
}

/** What a vendor has counted of an account. */
export interface VendorTotals {
  readonly bindsAccepted: number;
  /** The most at once. */
  readonly bindsPeak: number;
  readonly bindsRefused: Readonly<Record<string, number>>;
  readonly failedLogins: number;
  /** The most of them within the time that counts for a lock. */
  readonly failedLoginsPeak: number;
  /** How often it was locked for failed logins. */
  readonly locks: number;
  /** submit_sm by what they were answered. */
  readonly submits: Readonly<Record<string, number>>;
}

export interface VendorAccount {
  readonly systemId: string;
  readonly maxBinds: number;
  readonly sessions: readonly VendorSession[];
  readonly totals: VendorTotals;
}

/** A message that a vendor has taken. */
export interface VendorMessage {
  readonly number: number;
  /** Whether the connector was told ESME_ROK; false too while the answer is under way. */
  readonly answered: boolean;
}

export interface SimulatorState {
  readonly accounts: readonly VendorAccount[];
  readonly totals: {
    readonly bindsAccepted: number;
    readonly bindsRefused: Readonly<Record<string, number>>;
    readonly unbinds: number;
    readonly messagesReceived: number;
  };
}

/** What GET /state of the simulator's control port says. */
export async function simulatorState(controlPort: number, signal: AbortSignal): Promise<SimulatorState> {
  return (await callSimulator(controlPort, "GET", "/state", undefined, signal)) as SimulatorState;
}

/** Calls the simulator's control port. Rejects unless it agrees. */
export async function callSimulator(
  controlPort: number,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const url = `http://127.0.0.1:${controlPort}${path}`;
  const response = await fetch(url, { method, signal, ...(body !== undefined && { body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(`the simulator answered ${response.status} to ${method} ${path}`);
  return response.json();
}

export function sessionIds(sessions: readonly VendorSession[]): string {
  return sessions.map(({ sessionId }) => sessionId).join(", ");
}
