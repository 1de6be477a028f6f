import type { Socket } from "node:net";
import type { Accounts } from "./accounts.ts";
import type { BindRefused, Bound, CloseReason, Peer, SmscEvent } from "./events.ts";
import { FrameReader, FramingError } from "./frames.ts";
import { Liveness, type Timers } from "./liveness.ts";
import { PendingRequests, type Answered } from "./pending-requests.ts";
import type { DeliveryOutcome, ReceivingSession } from "./receipts.ts";
import { roleOf, type Role } from "./role.ts";
import { messageText, PDU, Status, type Pdu, type PduFields, type StatusName } from "./smpp.ts";
import type { SubmitDesk } from "./submit-desk.ts";

export interface SessionContext {
  /** Sent in every positive bind response. */
  readonly systemId: string;
  readonly accounts: Accounts<SmscSession>;
  readonly timers: Timers;
  readonly maxPduBytes: number;
  readonly submits: Pick<SubmitDesk, "take">;
  readonly emit: (event: SmscEvent) => void;
}

/** How long a client may take to close its side, in milliseconds. */
const CLOSE_GRACE = 2000;

/** One client connection, from connect to close: SMPP 3.4 section 2.2, with unbound, bound and closed states. */
export class SmscSession implements ReceivingSession {
  /** Set while the session is bound. */
  bound: Bound | undefined;

  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #context: SessionContext;
  readonly #frames: FrameReader;
  readonly #liveness: Liveness;
  readonly #requests = new PendingRequests();
  #unbinding = false;
  #closed = false;

  constructor(socket: Socket, peer: Peer, context: SessionContext) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#frames = new FrameReader(context.maxPduBytes);
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("drain", () => socket.resume());
    socket.on("end", () => this.#close("hung-up", { dead: true }));
    socket.on("error", () => this.#close("reset", { dead: true }));
    socket.on("close", () => this.#close("hung-up", { dead: true }));
    this.#liveness = new Liveness({
      timers: context.timers,
      isMute: () => this.#mute === "everything",
      request: (command, answered) => {
        if (command === "enquire_link") context.emit({ kind: "enquire-link-sent" });
        this.#request(command, {}, answered);
      },
      close: (reason) => this.#close(reason),
    });
  }

  get sessionId(): number {
    return this.#peer.sessionId;
  }

  /** Whether a receipt can be sent over it, now. */
  get canReceive(): boolean {
    return (
      this.bound !== undefined &&
      this.bound.role !== "transmitter" &&
      !this.#unbinding &&
      this.#mute !== "everything" &&
      this.#socket.writable
    );
  }

  /** Cuts the connection without a word, as a network fault would. With `dead` its bind is kept for the hold time. */
  drop({ reset = false, dead = false } = {}): void {
    if (reset) this.#socket.resetAndDestroy();
    this.#close("dropped", { dead });
    this.#socket.destroy();
  }

  /** Unbinds, if bound, and closes once the client has answered or the response timer is over. */
  unbind(): void {
    if (!this.bound || this.#mute === "everything") return this.#close("stopping");
    if (this.#unbinding || this.#closed) return;
    this.#unbinding = true;
    this.#context.emit({ kind: "unbind", session: this.bound, by: "simulator" });
    this.#liveness.unbind();
  }

  /** Sends a deliver_sm; only while {@link canReceive}. */
  deliver(fields: PduFields, done: (outcome: DeliveryOutcome) => void): void {
    this.#request("deliver_sm", fields, (answer) =>
      done(answer === undefined ? "lost" : answer.command_status === Status.ESME_ROK ? "confirmed" : "refused"),
    );
  }

  get #mute(): "none" | "enquire_link" | "submit_sm" | "everything" {
    return (this.bound && this.#context.accounts.behaviour(this.bound.systemId).mute) ?? "none";
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      for (const frame of this.#frames.push(chunk)) {
        const pdu = this.#decode(frame);
        if (!pdu) return;
        if (this.bound) this.#liveness.heard();
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
    if (pdu.isResponse()) return this.#requests.answer(pdu);
    const mute = this.#mute;
    if (this.bound && (mute === "everything" || mute === pdu.command)) return this.#ignore(this.bound.systemId, pdu);
    const role = roleOf(pdu.command);
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
        return void this.#send(
          new PDU("generic_nack", { command_status: Status.ESME_RINVCMDID, sequence_number: pdu.sequence_number }),
        );
    }
  }

  #bind(pdu: Pdu, role: Role): void {
    if (this.bound) return this.#refuseBind(pdu, { status: "ESME_RINVBNDSTS" });
    const { system_id: systemId, password, system_type: systemType } = pdu;
    if (systemId === undefined || password === undefined || systemType === undefined) {
      return this.#refuseBind(pdu, { status: "ESME_RINVCMDLEN" });
    }
    const { accounts, emit } = this.#context;
    if (accounts.behaviour(systemId).mute === "everything") {
      this.#liveness.settled();
      return this.#ignore(systemId, pdu);
    }
    const verdict = accounts.admit(this, { systemId, password, systemType, role });
    if ("status" in verdict) return this.#refuseBind(pdu, verdict);
    this.bound = { ...this.#peer, systemId, role, since: new Date().toISOString() };
    this.#liveness.settled();
    this.#respond(pdu, { system_id: this.#context.systemId, sc_interface_version: 0x34 });
    this.#liveness.heard();
    emit({ kind: "bind-accepted", session: this.bound, ...verdict });
  }

  #refuseBind(pdu: Pdu, refusal: Pick<BindRefused, "status"> & Partial<BindRefused>): void {
    const systemId = this.bound?.systemId ?? pdu.system_id ?? "";
    const known = this.#context.accounts.has(systemId);
    const event = { peer: this.#peer, systemId, known, dropped: false, locked: false, ...refusal };
    this.#context.emit({ ...event, kind: "bind-refused" });
    if (!event.dropped) this.#respond(pdu, { command_status: Status[event.status] });
    if (!this.bound) this.#close("bind-refused");
  }

  #submit(pdu: Pdu): void {
    if (!this.bound || this.bound.role === "receiver") return this.#refuseSubmit(pdu, "ESME_RINVBNDSTS");
    if (pdu.short_message === undefined) return this.#refuseSubmit(pdu, "ESME_RINVCMDLEN");
    const submit = {
      source: pdu.source_addr ?? "",
      destination: pdu.destination_addr ?? "",
      text: messageText(pdu.short_message),
      registeredDelivery: pdu.registered_delivery ?? 0,
    };
    this.#context.submits.take(
      this.bound,
      submit,
      (fields) => this.#mute !== "everything" && this.#respond(pdu, fields),
    );
  }

  #refuseSubmit(pdu: Pdu, status: StatusName): void {
    this.#context.emit({ kind: "submit", systemId: this.bound?.systemId, result: status, taken: false });
    this.#respond(pdu, { command_status: Status[status] });
  }

  #ignore(systemId: string, pdu: Pdu): void {
    this.#context.emit({ kind: "ignored", systemId, command: pdu.command });
  }

  #unboundByClient(pdu: Pdu): void {
    if (!this.bound) return void this.#respond(pdu, { command_status: Status.ESME_RINVBNDSTS });
    this.#context.emit({ kind: "unbind", session: this.bound, by: "client" });
    this.#respond(pdu);
    this.#close("unbound");
  }

  #request(command: string, fields: PduFields, answered: Answered): void {
    this.#send(new PDU(command, { ...fields, sequence_number: this.#requests.begin(answered) }));
  }

  #respond(request: Pdu, fields: PduFields = {}): boolean {
    return this.#send(request.response(fields));
  }

  #send(pdu: Pdu): boolean {
    if (!this.#socket.writable) return false;
    // A client that does not read its responses gets no more of its requests read.
    if (!this.#socket.write(pdu.toBuffer())) this.#socket.pause();
    return true;
  }

  /** `dead` is a session that the vendor does not know to be over: it keeps its bind for the hold time. */
  #close(reason: CloseReason, { dead = false } = {}): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#liveness.stop();
    const { accounts, emit } = this.#context;
    const { sessionId } = this.#peer;
    const systemId = this.bound?.systemId;
    const held =
      systemId === undefined ? undefined : accounts.release(this, systemId, sessionId, dead && !this.#unbinding);
    this.bound = undefined;
    emit({ kind: "closed", peer: this.#peer, ...(systemId !== undefined && { systemId }), reason });
    if (systemId !== undefined && held !== undefined) emit({ kind: "bind-held", systemId, sessionId, until: held });
    this.#requests.abandon();
    if (this.#socket.destroyed) return;
    this.#socket.resume();
    this.#socket.end();
    const giveUp = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE);
    this.#socket.once("close", () => clearTimeout(giveUp));
  }
}
