import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeToken, type AdminClient, type MeshClient } from "@operator-management/client";
import { createAdminClient, createMeshClient } from "@operator-management/client/node";
import type { NodeStatus } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { Child, type ChildOptions, type Line } from "./child.ts";
import type { Narrator } from "./narrator.ts";
import {
  callSimulator,
  simulatorState,
  type SimulatorState,
  type VendorAccount,
  type VendorMessage,
  type VendorSession,
} from "./simulator-state.ts";
import { until, type Patience } from "./wait.ts";

/** The connector's name in the fleet. */
export const NODE = "demo-connector";

/** What the start of a process may take on a busy machine, the first opening of the database included, in milliseconds. */
export const START_TIMEOUT = 120_000;

/** Seconds between two health reports: shorter than usual, so that the demo is. */
const REPORT_INTERVAL = 2;

/** Messages per call. */
const PAGE = 1_000;

/** An account as the simulator takes it. */
export interface Account {
  readonly systemId: string;
  readonly password: string;
  readonly maxBinds: number;
  readonly systemType?: string;
  /** As the simulator's README has it. */
  readonly behaviour?: object;
}

/** A change that the service has acknowledged. */
export interface Acknowledged {
  readonly token: string;
  /** As Date.now(). */
  readonly time: number;
}

/** The demo's processes, its folder, and how to look at them. Whatever happens, `clear` leaves nothing behind. */
export class Stage {
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
  readonly folder: string;
  /** The service's, known before it starts, as the connector is told first. */
  readonly port: number;
  readonly #children: Child[] = [];
  readonly #watch: Pick<ChildOptions, "onLine" | "onSurprise">;
  #admin: AdminClient | undefined;
  #mesh: MeshClient | undefined;
  #controlPort = 0;

  private constructor(
    folder: string,
    port: number,
    narrator: Narrator,
    signal: AbortSignal,
    watch: Pick<ChildOptions, "onLine" | "onSurprise">,
  ) {
    this.folder = folder;
    this.port = port;
    this.narrator = narrator;
    this.signal = signal;
    this.#watch = watch;
  }

  static async set(
    narrator: Narrator,
    signal: AbortSignal,
    watch: Pick<ChildOptions, "onLine" | "onSurprise">,
  ): Promise<Stage> {
    const port = await freePort();
    return new Stage(await mkdtemp(join(tmpdir(), "operators-demo-")), port, narrator, signal, watch);
  }

  get admin(): AdminClient {
    if (this.#admin === undefined) throw new Error("the service has not been started yet");
    return this.#admin;
  }

  /** As a router calls it. */
  get mesh(): MeshClient {
    if (this.#mesh === undefined) throw new Error("the service has not been started yet");
    return this.#mesh;
  }

  get children(): readonly Child[] {
    return this.#children;
  }

  get dataFolder(): string {
    return join(this.folder, "data");
  }

  /** The process started last under this name. */
  child(name: "service" | "simulator" | "connector"): Child {
    const child = this.#children.findLast((each) => each.name === name);
    if (child === undefined) throw new Error(`the ${name} has not been started yet`);
    return child;
  }

  /** Starts the service, or starts it again on its folder and port. Returns its ready line. */
  async startService(): Promise<Line> {
    await mkdir(this.dataFolder, { recursive: true });
    const child = this.#start("service", "src/main.ts", [], {
      OPS_DATA_DIR: this.dataFolder,
      OPS_PORT: String(this.port),
      OPS_METRICS_PORT: "0",
      OPS_LOG_FORMAT: "json",
    });
    const line = await this.#until("the service is ready", () => child.find(/"ready":true/), {
      timeoutMs: START_TIMEOUT,
    });
    const baseUrl = `http://127.0.0.1:${this.port}`;
    this.#admin ??= createAdminClient({ baseUrl, tokenFile: join(this.dataFolder, "admin-token") });
    this.#mesh ??= createMeshClient({ baseUrl });
    return line;
  }

  /** Starts the simulator on as many free ports as asked for, and returns them. Its accounts come by `setAccount`. */
  async startSimulator(ports: number): Promise<number[]> {
    const args = [...Array.from({ length: ports }, () => "--port=0"), "--control-port=0"];
    const child = this.#start("simulator", "examples/smsc-simulator/src/main.ts", args, {});
    const control = await this.#until("the simulator listens", () => child.find(/curl \S+:(\d+)\/state/), {
      timeoutMs: START_TIMEOUT,
    });
    this.#controlPort = Number(/:(\d+)\/state/.exec(control.text)?.[1]);
    return child.lines.flatMap(({ text }) => /listening for SMPP binds on \S+:(\d+)/.exec(text)?.[1] ?? []).map(Number);
  }

  startConnector(): Child {
    return this.#start(
      "connector",
      "examples/smpp-connector/src/main.ts",
      ["--traffic", `--report-interval=${REPORT_INTERVAL}`],
      {
        OPS_URL: `http://127.0.0.1:${this.port}`,
        OPS_NODE: NODE,
      },
    );
  }

  async setAccount({ systemId, ...account }: Account): Promise<void> {
    await callSimulator(this.#controlPort, "PUT", `/accounts/${systemId}`, account, this.signal);
  }

  /** Makes the simulator do something: one of its actions. */
  async vendorDoes(...actions: readonly object[]): Promise<void> {
    await callSimulator(this.#controlPort, "POST", "/actions", actions, this.signal);
  }

  /** The messages that a vendor has of an account, after this number. */
  async vendorBook(systemId: string, after: number): Promise<readonly VendorMessage[]> {
    const messages: VendorMessage[] = [];
    for (;;) {
      const path = `/accounts/${systemId}/messages?limit=${PAGE}&after=${messages.at(-1)?.number ?? after}`;
      const page = await callSimulator(this.#controlPort, "GET", path, undefined, this.signal);
      const { messages: more } = page as { readonly messages: readonly VendorMessage[] };
      messages.push(...more);
      if (more.length < PAGE) return messages;
    }
  }

  vendorState(): Promise<SimulatorState> {
    return simulatorState(this.#controlPort, this.signal);
  }

  /** The bound sessions of an account, oldest first. */
  async sessions(systemId: string): Promise<readonly VendorSession[]> {
    return (await this.account(systemId)).sessions;
  }

  /** An account as its vendor sees it. */
  async account(systemId: string): Promise<VendorAccount> {
    const { accounts } = await this.vendorState();
    const account = accounts.find((each) => each.systemId === systemId);
    if (account === undefined) throw new Error(`the simulator has no account ${systemId}`);
    return account;
  }

  /** The connector as the service's fleet view shows it. */
  async node(): Promise<NodeStatus | undefined> {
    const { nodes } = await this.admin.getFleetStatus({}, { signal: this.signal });
    return nodes.find(({ node }) => node === NODE);
  }

  /** Resolves, when the connector has reported that it applied this change, with the time. */
  async applied({ token }: Acknowledged): Promise<number> {
    const wanted = decodeToken(token)?.revision ?? 0n;
    await this.#until(`the connector reports revision ${wanted} as applied`, async () => {
      const applied = decodeToken((await this.node())?.appliedToken ?? "")?.revision;
      return applied !== undefined && applied >= wanted;
    });
    return Date.now();
  }

  until<T>(
    what: string,
    ask: () => T | undefined | false | Promise<T | undefined | false>,
    patience?: Patience,
  ): Promise<T> {
    return this.#until(what, ask, patience);
  }

  /** Kills whatever still runs and removes the folder. */
  async clear(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }

  #until<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>, patience?: Patience) {
    return until(what, ask, this.signal, patience);
  }

  #start(name: string, file: string, args: readonly string[], env: Readonly<Record<string, string>>): Child {
    const child = new Child(name, { file, args, env, ...this.#watch });
    this.#children.push(child);
    return child;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}

/** A reply to a change, with the time it came. */
export function acknowledged(reply: { readonly token: string }): Acknowledged {
  return { token: reply.token, time: Date.now() };
}
