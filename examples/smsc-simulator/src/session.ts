import type { Socket } from "node:net";
import type { Accounts } from "./accounts.ts";
import { Countdowns } from "./countdowns.ts";
import type { Bound, CloseReason, Peer, Role, SmscEvent } from "./events.ts";
import { FrameReader, FramingError } from "./frames.ts";
import { PDU, Status, type Pdu, type PduFields, type StatusName } from "./smpp.ts";

/** All in milliseconds. */
export interface Timers {
  /** From connecting to the bind; then the connection is closed. */
  readonly sessionInit: number;
  /** Without a PDU from the client, the simulator sends enquire_link; 0 never does. */
  readonly enquireLink: number;
  /** For the client's answer to enquire_link or unbind; then the connection is closed. */
  readonly response: number;
  /** Without a PDU from the client, the session is closed; 0 never does. */
  readonly inactivity: number;
}

export interface SessionContext {
  /** Sent in every positive bind response. */
  readonly systemId: string;
  readonly accounts: Accounts<SmscSession>;
  readonly timers: Timers;
  readonly maxPduBytes: number;
  readonly emit: (event: SmscEvent) => void;
  readonly nextMessageId: () => string;
}

/** How long a client may take to close its side, in milliseconds. */
const CLOSE_GRACE = 2000;

const roles: { readonly [command: string]: Role } = {
  bind_transmitter: "transmitter",
  bind_receiver: "receiver",
  bind_transceiver: "transceiver",
};

/** One client connection, from connect to close: SMPP 3.4 section 2.2, with unbound, bound and closed states. */
export class SmscSession {
  /** Set while the session is bound. */
  bound: Bound | undefined;

  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #context: SessionContext;
  readonly #frames: FrameReader;
  readonly #countdowns = new Countdowns<keyof Timers>();
  #awaited: number | undefined;
  #sequence = 0;
  #unbinding = false;
  #closed = false;

  constructor(socket: Socket, peer: Peer, context: SessionContext) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#frames = new FrameReader(context.maxPduBytes);
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("drain", () => socket.resume());
    socket.on("end", () => this.#close("hung-up"));
    socket.on("error", () => this.#close("reset"));
    socket.on("close", () => this.#close("hung-up"));
    this.#countdowns.start("sessionInit", context.timers.sessionInit, () => this.#close("never-bound"));
  }

  /** Cuts the connection without a word, as a network fault would. */
  drop(): void {
    this.#close("dropped");
    this.#socket.destroy();
  }

  /** Unbinds, if bound, and closes once the client has answered or the response timer is over. */
  unbind(): void {
    if (!this.bound) return this.#close("stopping");
    if (this.#unbinding || this.#closed) return;
    this.#unbinding = true;
    this.#context.emit({ kind: "unbind", session: this.bound, by: "simulator" });
    this.#request("unbind", () => this.#close("stopping"));
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      for (const frame of this.#frames.push(chunk)) {
        const pdu = this.#decode(frame);
        if (!pdu) return;
        this.#heard();
        this.#handle(pdu);
        if (this.#closed) return;
      }
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#send(new PDU("generic_nack", { command_status: Status.ESME_RINVCMDLEN }));
      this.#close("garbage");
    }
  }

  #decode(frame: Buffer): Pdu | undefined {
    try {
      return new PDU(frame);
    } catch {
      // The library throws whatever its buffer reads threw; all of it means that the fields don't fit the frame.
      const sequence_number = frame.readUInt32BE(12);
      this.#send(new PDU("generic_nack", { command_status: Status.ESME_RINVCMDLEN, sequence_number }));
      this.#close("garbage");
      return undefined;
    }
  }

  #handle(pdu: Pdu): void {
    if (pdu.isResponse()) return this.#answered(pdu);
    const role = roles[pdu.command];
    if (role) return this.#bind(pdu, role);
    switch (pdu.command) {
      case "enquire_link":
        this.#respond(pdu);
        return this.#context.emit({ kind: "enquire-link-answered" });
      case "unbind":
        return this.#unboundByClient(pdu);
      case "submit_sm":
        return this.#submit(pdu);
      default:
        return this.#send(
          new PDU("generic_nack", {
            command_status: Status.ESME_RINVCMDID,
            sequence_number: pdu.sequence_number,
          }),
        );
    }
  }

  #bind(pdu: Pdu, role: Role): void {
    if (this.bound) return this.#refuseBind(pdu, "ESME_RINVBNDSTS");
    const { system_id: systemId, password, system_type: systemType } = pdu;
    if (systemId === undefined || password === undefined || systemType === undefined) {
      return this.#refuseBind(pdu, "ESME_RINVCMDLEN");
    }
    const verdict = this.#context.accounts.admit(this, { systemId, password, systemType });
    if ("refused" in verdict) return this.#refuseBind(pdu, verdict.refused);
    this.bound = { ...this.#peer, systemId, role, since: new Date().toISOString() };
    this.#countdowns.stop("sessionInit");
    this.#respond(pdu, { system_id: this.#context.systemId, sc_interface_version: 0x34 });
    this.#context.emit({ kind: "bind-accepted", session: this.bound, ...verdict });
    this.#heard();
  }

  #refuseBind(pdu: Pdu, status: StatusName): void {
    const systemId = this.bound?.systemId ?? pdu.system_id ?? "";
    const known = this.#context.accounts.holders(systemId) !== undefined;
    this.#context.emit({ kind: "bind-refused", peer: this.#peer, systemId, known, status });
    this.#respond(pdu, { command_status: Status[status] });
    if (!this.bound) this.#close("bind-refused");
  }

  #submit(pdu: Pdu): void {
    if (!this.bound || this.bound.role === "receiver") {
      this.#context.emit({ kind: "message-refused" });
      return this.#respond(pdu, { command_status: Status.ESME_RINVBNDSTS });
    }
    if (pdu.short_message === undefined) {
      this.#context.emit({ kind: "message-refused" });
      return this.#respond(pdu, { command_status: Status.ESME_RINVCMDLEN });
    }
    this.#context.emit({ kind: "message-received" });
    this.#respond(pdu, { message_id: this.#context.nextMessageId() });
  }

  #unboundByClient(pdu: Pdu): void {
    if (!this.bound) return this.#respond(pdu, { command_status: Status.ESME_RINVBNDSTS });
    this.#context.emit({ kind: "unbind", session: this.bound, by: "client" });
    this.#respond(pdu);
    this.#close("unbound");
  }

  /** Any PDU shows that the client lives, so both idle timers of a bound session start over. */
  #heard(): void {
    if (!this.bound) return;
    const { enquireLink, inactivity } = this.#context.timers;
    this.#countdowns.start("inactivity", inactivity, () => this.#close("silent"));
    if (this.#awaited !== undefined) return;
    this.#countdowns.start("enquireLink", enquireLink, () => {
      this.#context.emit({ kind: "enquire-link-sent" });
      this.#request("enquire_link", () => this.#close("enquire-link-unanswered"));
    });
  }

  #request(command: "enquire_link" | "unbind", unanswered: () => void): void {
    this.#sequence = (this.#sequence % 0x7fffffff) + 1;
    this.#awaited = this.#sequence;
    this.#countdowns.stop("enquireLink");
    this.#countdowns.start("response", this.#context.timers.response, unanswered);
    this.#send(new PDU(command, { sequence_number: this.#sequence }));
  }

  /** A generic_nack counts as an answer too: the client is there, it only lacks the command. */
  #answered(pdu: Pdu): void {
    if (pdu.sequence_number !== this.#awaited) return;
    this.#awaited = undefined;
    this.#countdowns.stop("response");
    if (this.#unbinding) return this.#close("unbound");
    this.#heard();
  }

  #respond(request: Pdu, fields: PduFields = {}): void {
    this.#send(request.response(fields));
  }

  #send(pdu: Pdu): void {
    if (!this.#socket.writable) return;
    // A client that does not read its responses gets no more of its requests read.
    if (!this.#socket.write(pdu.toBuffer())) this.#socket.pause();
  }

  #close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#countdowns.stopAll();
    const systemId = this.bound?.systemId;
    if (systemId !== undefined) this.#context.accounts.release(this, systemId);
    this.bound = undefined;
    this.#context.emit({ kind: "closed", peer: this.#peer, ...(systemId !== undefined && { systemId }), reason });
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    this.#socket.end();
    const giveUp = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE);
    this.#socket.once("close", () => clearTimeout(giveUp));
  }
}
