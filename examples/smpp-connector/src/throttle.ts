import { durationMs, type Duration } from "@bufbuild/protobuf/wkt";
import type { Throttle as ThrottleConfig } from "@operator-management/contract/ops/v1/session_pb.js";

/** Backs off when the vendor throttles, and recovers step by step, as `throttle` of the connection says. */
export class Throttle {
  readonly #now: () => number;
  #config: ThrottleConfig | undefined;
  #factor = 1;
  #pausedUntil = 0;
  #steppedAt = 0;

  /** @param now a clock in milliseconds */
  constructor(config: ThrottleConfig | undefined, now: () => number) {
    this.#config = config;
    this.#now = now;
  }

  configure(config: ThrottleConfig | undefined): void {
    this.#config = config;
  }

  /** The part of the rate that is kept to; 1: the vendor does not throttle. Recovers as time goes by. */
  get factor(): number {
    const { recoverPercent = 10, recoverInterval } = this.#config ?? {};
    const interval = milliseconds(recoverInterval, 10_000);
    const now = this.#now();
    while (this.#factor < 1 && now - this.#steppedAt >= interval) {
      this.#factor = Math.min(1, this.#factor + recoverPercent / 100);
      this.#steppedAt += interval;
    }
    return this.#factor;
  }

  /** Nothing is sent until the pause is over. */
  get isPaused(): boolean {
    return this.#now() < this.#pausedUntil;
  }

  /** The vendor said that it was too fast. The answers to what was sent before the pause count as one. */
  throttled(): void {
    if (this.isPaused) return;
    const { pause, floorPercent = 10 } = this.#config ?? {};
    const now = this.#now();
    this.#factor = Math.max(floorPercent / 100, this.factor / 2);
    this.#steppedAt = now;
    this.#pausedUntil = now + milliseconds(pause, 1_000);
  }
}

function milliseconds(duration: Duration | undefined, otherwise: number): number {
  return duration === undefined ? otherwise : durationMs(duration);
}
