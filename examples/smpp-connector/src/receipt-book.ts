/** The messages that wait for a receipt, over all binds of a connection: it may come on any of them. */
export class ReceiptBook {
  readonly #sent = new Map<string, number>();
  readonly #early = new Map<string, (sentAt: number) => void>();
  readonly #most: number;

  /** @param most how many are remembered; the oldest go first */
  constructor(most = 100_000) {
    this.#most = most;
  }

  get size(): number {
    return this.#sent.size;
  }

  /** A message was taken under this id, and asked for a receipt. */
  expect(id: string, sentAt: number): void {
    const early = this.#early.get(id);
    if (early !== undefined) {
      this.#early.delete(id);
      return early(sentAt);
    }
    this.#sent.set(id, sentAt);
    dropOldest(this.#sent, this.#most);
  }

  /** Whether the id is one of ours; when its message was sent is told then. Each receipt counts once. */
  take(id: string, known: (sentAt: number) => void): boolean {
    const sentAt = this.#sent.get(id);
    if (sentAt === undefined) return false;
    this.#sent.delete(id);
    known(sentAt);
    return true;
  }

  /** A receipt came on one bind before the answer to its message on another: it waits for that. */
  keep(id: string, known: (sentAt: number) => void): void {
    this.#early.set(id, known);
    dropOldest(this.#early, 100);
  }
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}
