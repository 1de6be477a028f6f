import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindFailedError } from "./bind-failed-error.ts";
import { ESME_ROK, statusName } from "./command-status.ts";
import { Countdowns } from "./countdowns.ts";
import type { BindParameters, SessionTimers } from "./session-settings.ts";
import { PDU, type LibrarySession, type Pdu, type PduFields } from "./smpp.ts";

/** Who binds, and as what. */
export interface BindRequest {
  readonly role: BindRole;
  readonly systemId: string;
  readonly password: string;
  readonly parameters: BindParameters;
}

const commands: { readonly [role in BindRole]?: string } = {
  [BindRole.TRX]: "bind_transceiver",
  [BindRole.TX]: "bind_transmitter",
  [BindRole.RX]: "bind_receiver",
};

/** How long the vendor may take to close its side after ours is, in milliseconds. */
const CLOSE_GRACE = 1_000;

/** One SMPP session from connect to close; once bound it keeps itself alive and answers the vendor. */
export class SmppSession {
  /** Resolves, when the session is over, with why. */
  readonly closed: Promise<string>;
  readonly enquireLinks = { missed: 0, answered: 0 };
  /** Gets every deliver_sm, after it was answered. */
  onDeliver: (pdu: Pdu) => void = () => undefined;

  readonly #library: LibrarySession;
  readonly #countdowns = new Countdowns<"enquire" | "answer" | "inactivity" | "grace">();
  readonly #waiting = new Set<(error: Error) => void>();
  #timers: SessionTimers;
  #bound = false;
  #unbinding = false;
  readonly #submits = new Set<Promise<Pdu>>();
  #ended: string | undefined;
  #resolveClosed: (why: string) => void = () => undefined;

  constructor(library: LibrarySession, timers: SessionTimers) {
    this.#library = library;
    this.#timers = timers;
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    library.on("error", (error) => this.close(`connection failed: ${codeOf(error)}`));
    library.on("close", () => this.close("the vendor closed the connection"));
    library.on("pdu", (pdu) => this.#received(pdu));
  }

  /** Address and port of our side, e.g. `10.0.0.7:50312`. */
  get localAddress(): string {
    return hostPort(this.#library.socket.localAddress, this.#library.socket.localPort);
  }

  /** Address and port of the vendor's side. */
  get peerAddress(): string {
    return hostPort(this.#library.socket.remoteAddress, this.#library.socket.remotePort);
  }

  /** Resolves when the socket is connected. */
  connected(timeout: number): Promise<void> {
    return this.#within(timeout, `no connection within ${seconds(timeout)}`, (resolve) =>
      this.#library.on("connect", () => resolve(undefined)),
    );
  }

  async bind({ role, systemId, password, parameters }: BindRequest): Promise<void> {
    const command = commands[role];
    if (command === undefined) throw new BindFailedError(`there is no bind for role ${role}`);
    const response = await this.#request(
      command,
      {
        system_id: systemId,
        password,
        system_type: parameters.systemType,
        interface_version: parameters.interfaceVersion,
        addr_ton: parameters.ton,
        addr_npi: parameters.npi,
        address_range: parameters.addressRange,
      },
      this.#timers.bind,
    );
    if (response.command_status !== ESME_ROK) {
      throw new BindFailedError(`refused with ${statusName(response.command_status)}`, response.command_status);
    }
    this.#bound = true;
    this.#heard();
  }

  /** Takes effect at once, without a new bind. */
  setTimers(timers: SessionTimers): void {
    this.#timers = timers;
    if (this.#bound && this.enquireLinks.missed === 0) this.#heard();
  }

  /** Whether a submit_sm may be sent: it is bound and not about to unbind. */
  get isOpen(): boolean {
    return this.#bound && !this.#unbinding;
  }

  /** How many submit_sm have no answer yet. */
  get unanswered(): number {
    return this.#submits.size;
  }

  /** Resolves with the answer; rejects when there is none in time: its fate is then unknown. */
  async submit(fields: PduFields): Promise<{ readonly status: number; readonly messageId: string }> {
    const response = this.#request("submit_sm", fields, this.#timers.response);
    this.#submits.add(response);
    try {
      const { command_status: status, message_id: messageId = "" } = await response;
      return { status, messageId };
    } finally {
      this.#submits.delete(response);
    }
  }

  /** Waits for the answers that are due, unbinds, and closes, each step up to `timers.unbind`. Never rejects. */
  async unbind(why: string): Promise<void> {
    if (this.isOpen) {
      this.#unbinding = true;
      const due = Promise.allSettled(this.#submits);
      await this.#within(this.#timers.unbind, "", (resolve) => void due.then(resolve)).catch(() => undefined);
      this.#countdowns.stopAll();
      // Without an answer the socket is closed all the same: that is what timers.unbind is for.
      await this.#request("unbind", {}, this.#timers.unbind).catch(() => undefined);
    }
    this.close(why);
    await this.closed;
  }

  /** Closes the connection without unbind. */
  close(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    this.#bound = false;
    this.#countdowns.stopAll();
    for (const fail of this.#waiting) fail(new BindFailedError(why));
    const { socket } = this.#library;
    const over = (): void => {
      this.#countdowns.stopAll();
      this.#resolveClosed(why);
    };
    if (socket.closed) return over();
    socket.once("close", over);
    if (socket.connecting) return void socket.destroy();
    socket.end();
    this.#countdowns.start("grace", CLOSE_GRACE, () => socket.destroy());
  }

  #received(pdu: Pdu): void {
    this.#heard();
    if (pdu.isResponse()) return;
    // The library has no answer to these two, as SMPP has none, and would throw.
    if (pdu.command === "alert_notification" || pdu.command === "outbind") return;
    this.#library.send(pdu.response());
    if (pdu.command === "deliver_sm") this.onDeliver(pdu);
    if (pdu.command === "unbind") this.close("the vendor unbound it");
  }

  /** Any PDU shows that the vendor lives, so both idle timers start over. */
  #heard(): void {
    if (!this.#bound) return;
    this.enquireLinks.missed = 0;
    this.#countdowns.stop("answer");
    this.#countdowns.start("enquire", this.#timers.enquireLink, () => this.#enquire());
    const { inactivity } = this.#timers;
    this.#countdowns.start("inactivity", inactivity, () => this.close(`nothing heard for ${seconds(inactivity)}`));
  }

  #enquire(): void {
    this.#library.send(new PDU("enquire_link"), () => this.enquireLinks.answered++);
    this.#countdowns.start("answer", this.#timers.enquireLinkResponse, () => {
      const missed = ++this.enquireLinks.missed;
      this.enquireLinks.answered = 0;
      if (missed < this.#timers.missed) return this.#enquire();
      this.close(`${missed} enquire_link${missed === 1 ? "" : "s"} unanswered`);
    });
  }

  #request(command: string, fields: PduFields, timeout: number): Promise<Pdu> {
    return this.#within(timeout, `no answer to ${command} within ${seconds(timeout)}`, (resolve, reject) => {
      if (!this.#library.send(new PDU(command, fields), resolve))
        reject(new BindFailedError("the connection is closed"));
    });
  }

  /** Rejects when the time is over or the session ends. */
  #within<T>(
    timeout: number,
    otherwise: string,
    begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended !== undefined) return reject(new BindFailedError(this.#ended));
      const timer = setTimeout(() => fail(new BindFailedError(otherwise)), timeout);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        this.#waiting.delete(fail);
        reject(error);
      };
      this.#waiting.add(fail);
      begin((value) => {
        clearTimeout(timer);
        this.#waiting.delete(fail);
        resolve(value);
      }, fail);
    });
  }
}

/** The library's parser throws plain errors whose text may quote what was received. */
function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "what was received is not SMPP";
}

function hostPort(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return "";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
