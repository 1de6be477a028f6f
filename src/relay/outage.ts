import type { Logger } from "pino";
import { BusUnavailableError } from "../backends/bus/bus.ts";
import { driverError } from "../db/database-error.ts";
import { FormerPrimaryError } from "./publisher.ts";
import type { RelayTimes } from "./relay-times.ts";

/** What keeps the relay from its work: one line in the log for each outage, however long, and pauses that grow. */
export class Outage {
  readonly #logger: Pick<Logger, "info" | "warn" | "error">;
  readonly #times: Pick<RelayTimes, "pause" | "longestPause">;
  #cause: string | undefined;
  #pause: number;

  constructor(logger: Pick<Logger, "info" | "warn" | "error">, times: Pick<RelayTimes, "pause" | "longestPause">) {
    this.#logger = logger;
    this.#times = times;
    this.#pause = times.pause;
  }

  /** Returns how long to wait before the next try, in milliseconds. */
  failed(error: unknown, lag: number): number {
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, this.#times.longestPause);
    const former = error instanceof FormerPrimaryError;
    const cause = former ? "former primary" : error instanceof BusUnavailableError ? "bus" : "database";
    if (cause === this.#cause) return pause;
    this.#cause = cause;
    const facts = { err: driverError(error), cause, lag };
    if (former)
      this.#logger.error(facts, "nothing is relayed from here: this database must not be written to any more");
    else this.#logger.warn(facts, "changes wait to be relayed");
    return pause;
  }

  ended(lag: number): void {
    this.#pause = this.#times.pause;
    if (this.#cause === undefined) return;
    this.#logger.info({ cause: this.#cause, lag }, "changes are relayed again");
    this.#cause = undefined;
  }
}
