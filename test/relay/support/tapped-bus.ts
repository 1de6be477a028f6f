import {
  BusUnavailableError,
  WrongLastSequenceError,
  type Bus,
  type BusMessage,
  type PublishOptions,
} from "../../../src/backends/bus/bus.ts";

/** A message that the stream took. */
export interface Taken {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly sequence: number;
}

/** What goes wrong at a publish: before the bus has it, or after, when only the answer is lost. */
export type Fault = "before" | "after" | undefined;

/** A real bus behind which a test can see what was published, lose answers, hold a publisher, and exchange the streams. */
export class TappedBus implements Bus {
  /** In the order of the answers. */
  readonly taken: Taken[] = [];
  /** How often somebody else had published. */
  overtaken = 0;
  /** Asked before each publish; may wait. */
  fault: (subject: string) => Fault | Promise<Fault> = () => undefined;
  /** While true nothing answers. */
  down = false;
  /** How often the stream's end was asked for. */
  looks = 0;
  /** How often all subjects' last messages were asked for. */
  comparisons = 0;
  #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  get connected(): boolean {
    return !this.down && this.#bus.connected;
  }

  get durable(): boolean {
    return this.#bus.durable;
  }

  /** From now on it is this one: as if the streams had been deleted, or restored. */
  exchange(bus: Bus): void {
    this.#bus = bus;
  }

  async publish(subject: string, data: Uint8Array, options: PublishOptions): Promise<number> {
    const fault = await Promise.race([this.fault(subject), rejectedBy(options.signal)]);
    this.#mustBeUp();
    if (fault === "before") throw new BusUnavailableError("publish");
    const sequence = await this.#bus.publish(subject, data, options).catch((error: unknown) => {
      if (error instanceof WrongLastSequenceError) this.overtaken++;
      throw error;
    });
    this.taken.push({ subject, data, headers: options.headers ?? {}, sequence });
    if (fault === "after") throw new BusUnavailableError("tell whether it has published");
    return sequence;
  }

  lastMessage(...args: Parameters<Bus["lastMessage"]>): Promise<BusMessage | undefined> {
    this.#mustBeUp();
    return this.#bus.lastMessage(...args);
  }

  lastSequence(...args: Parameters<Bus["lastSequence"]>): Promise<number> {
    this.looks++;
    this.#mustBeUp();
    return this.#bus.lastSequence(...args);
  }

  lastPerSubject(...args: Parameters<Bus["lastPerSubject"]>): Promise<void> {
    this.comparisons++;
    this.#mustBeUp();
    return this.#bus.lastPerSubject(...args);
  }

  consume(...args: Parameters<Bus["consume"]>): ReturnType<Bus["consume"]> {
    return this.#bus.consume(...args);
  }

  follow(...args: Parameters<Bus["follow"]>): ReturnType<Bus["follow"]> {
    return this.#bus.follow(...args);
  }

  close(): Promise<void> {
    return this.#bus.close();
  }

  #mustBeUp(): void {
    if (this.down) throw new BusUnavailableError("answer");
  }
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
