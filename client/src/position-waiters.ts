import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { isSamePosition, isSameStore, positionOf } from "./position.ts";
import { soon } from "./timers.ts";

interface Waiter {
  readonly position: Token;
  readonly settle: (error?: CatalogError) => void;
}

/** Callers that wait until a position is reached. */
export class PositionWaiters {
  readonly #waiting = new Set<Waiter>();
  #current: Token | undefined;
  #closed: CatalogError | undefined;

  reached(token: string): void {
    this.#current = positionOf(token);
    for (const waiter of [...this.#waiting]) this.#check(waiter);
  }

  waitFor(token: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        position: positionOf(token),
        settle: (error) => {
          cancel();
          this.#waiting.delete(waiter);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const cancel = soon(timeoutMs, () =>
        waiter.settle(new CatalogError("TIMEOUT", `the position was not reached within ${timeoutMs} ms`)),
      );
      this.#waiting.add(waiter);
      if (this.#closed !== undefined) waiter.settle(this.#closed);
      else this.#check(waiter);
    });
  }

  close(error: CatalogError): void {
    this.#closed = error;
    for (const waiter of [...this.#waiting]) waiter.settle(error);
  }

  #check({ position, settle }: Waiter): void {
    if (this.#current === undefined) return;
    if (!isSameStore(position, this.#current)) {
      settle(new CatalogError("TOKEN_FOREIGN", "that token is of another installation"));
    } else if (this.#current.revision > position.revision || isSamePosition(this.#current, position)) {
      // An equal revision with another fingerprint is of a history that was lost, or that this catalog hasn't learned of yet: wait.
      settle();
    }
  }
}
