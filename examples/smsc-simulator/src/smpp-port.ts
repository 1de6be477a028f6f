import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export const portModes = ["open", "refusing", "resetting", "silent"] as const;

/** What a new connection meets: the SMSC; ECONNREFUSED; a reset at once; a server that never says anything. */
export type PortMode = (typeof portModes)[number];

/** The simulator does not listen there. */
export class UnknownPortError extends Error {
  override readonly name = "UnknownPortError";
  constructor() {
    super("the simulator does not have this port; GET /state lists its ports");
  }
}

/** More connections than this at once are dropped at accept. */
const MAX_CONNECTIONS = 1000;

/** A port that is listened on, or was. Its connections outlive a change of mode. */
export class SmppPort {
  readonly #host: string;
  readonly #accept: (socket: Socket) => void;
  readonly #ignored = new Set<Socket>();
  readonly #stopped: Promise<void>[] = [];
  #number: number;
  #mode: PortMode = "open";
  #server: Server | undefined;

  private constructor(number: number, host: string, accept: (socket: Socket) => void) {
    this.#number = number;
    this.#host = host;
    this.#accept = accept;
  }

  /** Listens on `number`, or on a free port for 0. Rejects when it is taken. */
  static async listen(number: number, host: string, accept: (socket: Socket) => void): Promise<SmppPort> {
    const port = new SmppPort(number, host, accept);
    await port.#listen();
    return port;
  }

  get number(): number {
    return this.#number;
  }

  get mode(): PortMode {
    return this.#mode;
  }

  /** Rejects when the port, closed before, has been taken by another process since. */
  async setMode(mode: PortMode): Promise<void> {
    this.#mode = mode;
    if (mode === "refusing") this.#stopListening();
    else if (!this.#server) await this.#listen();
  }

  /** Resolves when its last connection is gone; those nobody serves are cut. */
  async close(): Promise<void> {
    this.#stopListening();
    for (const socket of this.#ignored) socket.destroy();
    await Promise.all(this.#stopped);
  }

  async #listen(): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => this.#connected(socket));
    server.maxConnections = MAX_CONNECTIONS;
    server.listen(this.#number, this.#host);
    await once(server, "listening");
    this.#number = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #stopListening(): void {
    const server = this.#server;
    this.#server = undefined;
    if (server) this.#stopped.push(new Promise((resolve) => server.close(() => resolve())));
  }

  #connected(socket: Socket): void {
    if (this.#mode === "open") return this.#accept(socket);
    if (this.#mode === "resetting") return void socket.resetAndDestroy();
    this.#ignored.add(socket);
    socket.on("close", () => this.#ignored.delete(socket)).on("error", () => socket.destroy());
    // Read and thrown away, so that the client's end is noticed.
    socket.on("end", () => socket.destroy()).resume();
  }
}
