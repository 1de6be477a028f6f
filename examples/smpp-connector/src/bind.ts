import type { Credential } from "@operator-management/client";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import type { BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import { BindRecord } from "./bind-record.ts";
import type { DesiredConnection, Slot } from "./desired.ts";
import { candidates } from "./endpoints.ts";
import { BindLostError, isAuthRefusal, judgeFailure, LoginRefusedError } from "./failures.ts";
import type { Login, Logins } from "./logins.ts";
import { pause } from "./pause.ts";
import type { ActualBind } from "./reconcile.ts";
import { BindFailedError } from "./bind-failed-error.ts";
import { openSession } from "./open-session.ts";
import type { SmppSession } from "./session.ts";
import type { Pdu } from "./smpp.ts";
import { bindParameters, reconnectDelay, reconnectDelays, sessionTimers } from "./session-settings.ts";

// Longer than 150 lines because the life of a bind, with every way it can fail, reads top-down in one place.

export interface BindContext {
  readonly logins: Logins;
  /** Takes a line of the story. */
  readonly tell: (text: string) => void;
  /** Called whenever `phase`, `rolling` or `status` changed. */
  readonly changed: () => void;
  /** Called when a session ended that was wanted. */
  readonly lost: () => void;
  /** Takes a deliver_sm. */
  readonly deliver: (pdu: Pdu) => void;
  /** 0 to 1, for the jitter. */
  readonly random: () => number;
}

/** The configuration changed or the bind is no longer wanted: not a failure of the attempt it ends. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** Keeps one bind up: connects, binds, waits for the end of the session, and again, until it is closed. */
export class Bind implements ActualBind {
  readonly connectionKey: string;
  readonly operatorUid: string;
  readonly slot: Slot;
  config: Connection;
  phase: ActualBind["phase"] = "trying";
  rolling = false;
  /** The live session; undefined: not bound. */
  session: SmppSession | undefined;
  /** The endpoint of the last attempt. */
  endpointId = "";
  /** What the live session was bound with. */
  credentialId: string | undefined;

  readonly #context: BindContext;
  readonly #record: BindRecord;
  #attempt = new AbortController();
  /** Failed rounds over all endpoints since it was last bound. */
  #failures = 0;
  /** How many endpoints of this round failed. */
  #tried = 0;
  readonly #over: Promise<void>;

  constructor(connection: DesiredConnection, slot: Slot, context: BindContext) {
    this.connectionKey = connection.key;
    this.operatorUid = connection.operatorUid;
    this.slot = slot;
    this.config = connection.connection;
    this.#context = context;
    this.#record = new BindRecord(slot);
    this.#over = this.#run();
  }

  get name(): string {
    return bindName(this.connectionKey, this.slot);
  }

  get status(): BindStatus {
    return this.#record.status(this.session);
  }

  /** Takes a configuration that needs no new session. */
  apply(config: Connection): void {
    this.config = config;
    this.session?.setTimers(sessionTimers(config.timers));
  }

  /** Takes a configuration that needs a new session: unbinds, if bound, and binds at once. */
  rebind(config: Connection, why: string): void {
    this.rolling = this.phase === "bound";
    this.config = config;
    this.#interrupt(why);
  }

  /** Unbinds and resolves when it is over. Never rejects. */
  close(why: string): Promise<void> {
    this.phase = "closing";
    this.#interrupt(why);
    return this.#over;
  }

  #interrupt(why: string): void {
    this.#failures = 0;
    this.#tried = 0;
    this.#attempt.abort(new Interrupted(why));
    this.#context.changed();
  }

  async #run(): Promise<void> {
    while (this.phase !== "closing") {
      this.#attempt = new AbortController();
      try {
        await this.#once(this.#attempt.signal);
      } catch (error) {
        if (error instanceof Interrupted) continue;
        await this.#failed(error, this.#attempt.signal).catch((reason: unknown) => {
          if (!(reason instanceof Interrupted)) throw reason;
        });
      }
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    const login = await this.#context.logins.next(signal);
    let session: SmppSession;
    try {
      session = await this.#open(login, signal);
    } catch (error) {
      if (!isAuthRefusal(error, this.config)) {
        login.abandoned();
        throw error;
      }
      this.#record.refused();
      throw new LoginRefusedError(error.status, login.refused());
    }
    login.accepted();
    await this.#hold(session, login.credential, signal);
  }

  async #open({ credential }: Login, signal: AbortSignal): Promise<SmppSession> {
    const { config, slot } = this;
    const endpoint = candidates(config, slot.role, slot.index)[this.#tried];
    if (endpoint === undefined) throw new BindFailedError("the connection has no endpoint for this role");
    this.endpointId = endpoint.id;
    this.#record.connecting(endpoint.id, credential.id, config.bindEtag);
    this.#context.changed();
    const options = {
      host: endpoint.host,
      port: endpoint.port,
      ...(config.localAddress !== "" && { localAddress: config.localAddress }),
      role: slot.role,
      systemId: credential.systemId,
      password: credential.password.reveal(),
      parameters: bindParameters(config),
      timers: sessionTimers(config.timers),
      onConnected: () => this.#record.binding(),
    };
    try {
      return await openSession(options, signal);
    } catch (error) {
      if (!(error instanceof BindFailedError)) throw error;
      throw new BindFailedError(`${endpoint.host}:${endpoint.port}: ${error.message}`, error.status);
    }
  }

  /** Resolves or rejects when the session is over. */
  async #hold(session: SmppSession, { id, systemId }: Credential, signal: AbortSignal): Promise<void> {
    this.session = session;
    this.credentialId = id;
    session.onDeliver = this.#context.deliver;
    this.phase = this.phase === "closing" ? "closing" : "bound";
    this.rolling = false;
    this.#failures = 0;
    this.#tried = 0;
    this.#record.bound(session);
    this.#context.tell(`bound to ${session.peerAddress} as ${systemId}`);
    this.#context.changed();

    const interrupted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([session.closed, interrupted]);
    if (signal.aborted) await session.unbind((signal.reason as Interrupted).message);
    const why = await session.closed;
    this.session = undefined;
    this.credentialId = undefined;
    if (this.phase === "bound") this.phase = "trying";
    this.#record.ended(why, signal.aborted ? 0 : session.enquireLinks.missed);
    if (!signal.aborted) this.#context.lost();
    this.#context.changed();
    if (!signal.aborted) throw new BindLostError(`bind lost: ${why}`);
    this.#context.tell(`unbound: ${why}`);
  }

  /** Tells and records what went wrong, chooses the next endpoint, and waits as long as the configuration says. */
  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const { text, status, otherEndpoint, otherLogin, until } = judgeFailure(error, this.config);
    this.#record.failed(text, status);
    if (otherLogin === true) {
      this.#context.tell(`${text}; trying it`);
      return this.#context.changed();
    }
    const next = otherEndpoint ? candidates(this.config, this.slot.role, this.slot.index)[this.#tried + 1] : undefined;
    if (next !== undefined) {
      this.#tried += 1;
      this.#context.tell(`${text}; trying ${next.host}:${next.port}`);
      return this.#context.changed();
    }
    this.#tried = 0;
    this.#failures += 1;
    const delays = reconnectDelays(this.config.reconnect);
    const backOff = reconnectDelay(this.#failures, delays, this.#context.random());
    const delay = Math.max(backOff, (until?.getTime() ?? 0) - Date.now());
    this.#record.nextAttempt(new Date(Date.now() + delay));
    this.#context.tell(`${text}; next try in ${inWords(delay)}`);
    this.#context.changed();
    await pause(delay, signal);
  }
}

/** `acme-de/main#1 TRX` */
export function bindName(connectionKey: string, { role, index }: Slot): string {
  return `${connectionKey}#${index + 1} ${BindRole[role]}`;
}

function inWords(milliseconds: number): string {
  return milliseconds < 120_000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${Math.round(milliseconds / 60_000)} min`;
}
