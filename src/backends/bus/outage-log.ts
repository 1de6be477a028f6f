import type { Logger } from "pino";

/** Tells of a server that goes and comes back: one line for each change, however often it is tried meanwhile. */
export class OutageLog {
  readonly #logger: Pick<Logger, "info" | "warn" | "error">;
  #state: "starting" | "up" | "down" | "wrong" = "starting";
  /** What was told last. */
  #problems = "";

  constructor(logger: Pick<Logger, "info" | "warn" | "error">) {
    this.#logger = logger;
  }

  get up(): boolean {
    return this.#state === "up";
  }

  fine(server: string): void {
    if (this.#state !== "up") this.#logger.info({ server }, "NATS is connected, its streams are in order");
    this.#state = "up";
    this.#problems = "";
  }

  /** It doesn't answer; that may pass. */
  down(reason: string): void {
    if (this.#state === "down" || this.#state === "wrong") return;
    this.#state = "down";
    this.#logger.warn({ reason }, "NATS can't be used now; trying on");
  }

  /** It answers, but a person has to do something. */
  wrong(problems: readonly string[]): void {
    this.#state = "wrong";
    const text = problems.join("; ");
    if (text === this.#problems) return;
    this.#problems = text;
    this.#logger.error({ problems }, "NATS can't be used as it is set up; trying on");
  }
}
