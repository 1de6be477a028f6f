import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { CatalogError } from "./catalog-error.ts";
import { revisionEvents, type Operators, type Revision, type Touched } from "./revision.ts";

/** Revisions that wait for a reader before they are merged. */
const LONGEST_QUEUE = 64;

interface Pending {
  readonly revision: Revision;
  readonly touched: Touched;
}

/**
 * The revisions of one reader of `changes()`. A reader that falls behind gets what it missed as one merged revision, so that it
 * costs at most one entry per operator.
 */
export class ChangeFeed implements AsyncIterableIterator<Revision, undefined> {
  #queue: Pending[] = [];
  /** The operators of the merged revision as the reader last knew them; undefined while it keeps up. */
  #missed: Map<string, Operator | undefined> | undefined;
  #waiting: { resolve(result: IteratorResult<Revision, undefined>): void; reject(error: unknown): void }[] = [];
  #ended: { readonly error?: CatalogError } | undefined;
  readonly #now: () => { token: string; operators: Operators };
  readonly #onEnd: (feed: ChangeFeed) => void;

  constructor(now: () => { token: string; operators: Operators }, onEnd: (feed: ChangeFeed) => void) {
    this.#now = now;
    this.#onEnd = onEnd;
  }

  push(revision: Revision, touched: Touched): void {
    if (this.#missed !== undefined) {
      this.#miss(touched);
    } else {
      this.#queue.push({ revision, touched });
      if (this.#queue.length > LONGEST_QUEUE) this.#merge();
    }
    this.#deliver();
  }

  /** Makes the first revision a merged one: the difference to what the reader knows of these operators. */
  startOver(known: Touched): void {
    this.#missed = new Map(known);
    this.#deliver();
  }

  /** Ends the iteration, after what is queued; with an error, reading throws it. */
  end(error?: CatalogError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error === undefined ? {} : { error };
    this.#onEnd(this);
    this.#deliver();
  }

  next(): Promise<IteratorResult<Revision, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#deliver();
    });
  }

  async return(): Promise<IteratorResult<Revision, undefined>> {
    this.#queue = [];
    this.#missed = undefined;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(): void {
    while (this.#waiting.length > 0) {
      const revision = this.#take();
      if (revision === undefined && this.#ended === undefined) return;
      const reader = this.#waiting.shift();
      if (revision !== undefined) reader?.resolve({ done: false, value: revision });
      else if (this.#ended?.error !== undefined) reader?.reject(this.#ended.error);
      else reader?.resolve({ done: true, value: undefined });
    }
  }

  #take(): Revision | undefined {
    if (this.#missed === undefined) return this.#queue.shift()?.revision;
    const { token, operators } = this.#now();
    const events = revisionEvents(this.#missed, operators);
    this.#missed = undefined;
    return { token, resync: true, events };
  }

  #merge(): void {
    this.#missed = new Map();
    for (const { touched } of this.#queue) this.#miss(touched);
    this.#queue = [];
  }

  #miss(touched: Touched): void {
    for (const [id, operator] of touched) if (this.#missed?.has(id) === false) this.#missed.set(id, operator);
  }
}
