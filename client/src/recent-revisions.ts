import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { isSamePosition } from "./position.ts";
import type { Revision, Touched } from "./revision.ts";

const MOST_POSITIONS = 1_000;
const MOST_EVENTS = 2_000;

interface Entry {
  readonly position: Token;
  /** What led here from the position before; undefined when nothing changed, and for the first entry. */
  readonly change: { readonly revision: Revision; readonly touched: Touched } | undefined;
}

/** The last positions of a catalog and what happened between them, so that a reader can go on from one. */
export class RecentRevisions {
  #entries: Entry[] = [];
  #events = 0;

  add(position: Token, change: Entry["change"]): void {
    const last = this.#entries.at(-1);
    if (change === undefined && last !== undefined && isSamePosition(last.position, position)) return;
    this.#entries.push({ position, change: last === undefined ? undefined : change });
    this.#events += last === undefined ? 0 : (change?.revision.events.length ?? 0);
    while (this.#entries.length > MOST_POSITIONS || (this.#events > MOST_EVENTS && this.#entries.length > 1)) {
      this.#dropFirst();
    }
  }

  /** What came after this position; undefined when it is not among the last ones. */
  after(position: Token): NonNullable<Entry["change"]>[] | undefined {
    const index = this.#entries.findLastIndex((entry) => isSamePosition(entry.position, position));
    if (index < 0) return undefined;
    return this.#entries.slice(index + 1).flatMap((entry) => (entry.change === undefined ? [] : [entry.change]));
  }

  #dropFirst(): void {
    const [, second, ...rest] = this.#entries;
    if (second === undefined) return;
    this.#events -= second.change?.revision.events.length ?? 0;
    this.#entries = [{ position: second.position, change: undefined }, ...rest];
  }
}
