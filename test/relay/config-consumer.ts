import { fromBinary } from "@bufbuild/protobuf";
import { ConfigEventSchema, type ConfigEvent } from "@operator-management/contract/ops/v1/event_pb.js";
import type { Bus, BusMessage, Consumption } from "../../src/backends/bus/bus.ts";

/** What a consumer of the stream knows of an operator. */
export interface Known {
  readonly revision: bigint;
  /** The encoded operator; undefined when it was removed. */
  readonly operator: Uint8Array | undefined;
}

/** Reads an operator from the service, at least as fresh as the token; undefined when it has none. */
export type ReadOperator = (operatorId: string, token: string) => Promise<Uint8Array | undefined>;

/**
 * How to follow OPS_CONFIG: one answer per operator, by its revision; after a reset whatever comes is newer than what was known, and what
 * has not come by the stream's end is gone.
 */
export class ConfigConsumer {
  readonly known = new Map<string, Known>();
  /** How many resets it has heard. */
  resets = 0;
  /** How many messages told something older than what was known. */
  stale = 0;
  readonly #bus: Bus;
  readonly #read: ReadOperator;
  readonly #consumption: Consumption;
  /** Known before the last reset, and not heard of since. */
  #unconfirmed = new Set<string>();

  static start(bus: Bus, durable: string, read: ReadOperator): ConfigConsumer {
    return new ConfigConsumer(bus, durable, read);
  }

  private constructor(bus: Bus, durable: string, read: ReadOperator) {
    this.#bus = bus;
    this.#read = read;
    this.#consumption = bus.consume({ stream: "OPS_CONFIG", durable }, (message, signal) =>
      this.#handle(message, signal),
    );
  }

  /** The operators that it takes for existing, encoded, by id. */
  get operators(): Map<string, Uint8Array> {
    return new Map(this.known.entries().flatMap(([id, { operator }]) => (operator ? [[id, operator] as const] : [])));
  }

  close(): Promise<void> {
    return this.#consumption.close();
  }

  async #handle({ data, sequence }: BusMessage, signal: AbortSignal): Promise<void> {
    const { event, refillLeft } = fromBinary(ConfigEventSchema, data);
    await this.#take(event);
    if (refillLeft > 0 || this.#unconfirmed.size === 0) return;
    if ((await this.#bus.lastSequence("OPS_CONFIG", signal)) > sequence) return; // they may still come
    for (const id of this.#unconfirmed) this.known.delete(id);
    this.#unconfirmed = new Set();
  }

  async #take(event: ConfigEvent["event"]): Promise<void> {
    switch (event.case) {
      case "reset":
        this.resets++;
        this.#unconfirmed = new Set(this.known.keys());
        return;
      case "absence":
        this.known.delete(event.value.operatorId);
        this.#unconfirmed.delete(event.value.operatorId);
        return;
      case "change": {
        const { operatorId, revision, operator } = event.value;
        this.#learn(operatorId, { revision, operator: operator.length > 0 ? operator : undefined });
        return;
      }
      case "reference": {
        const { operatorId, revision, token } = event.value;
        if (this.#isNews(operatorId, revision)) {
          this.#learn(operatorId, { revision, operator: await this.#read(operatorId, token) });
        }
        return;
      }
      case undefined:
        throw new Error("a newer version's event: read the operator from the service");
    }
  }

  #learn(id: string, known: Known): void {
    if (!this.#isNews(id, known.revision)) {
      this.stale++;
      return;
    }
    this.known.set(id, known);
    this.#unconfirmed.delete(id);
  }

  /** An equal revision too: it may be the right one after a wrong one. */
  #isNews(id: string, revision: bigint): boolean {
    const known = this.known.get(id);
    return known === undefined || this.#unconfirmed.has(id) || revision >= known.revision;
  }
}
