const EMPTY = 0; // no key is 0
const INITIAL_SLOTS = 64;
const INITIAL_ENTRIES = 64;
const FULLEST = 0.8;
const GROWTH = 1.5;
const POOL_GROWTH = 1.25;

/**
 * Which links have an entry for a key, and what it says: 16 to 50 bytes for each of millions of entries. An open-addressing table leads from
 * a key to a block of entries in one pool; a block's capacity is the power of two that its number of entries needs, so it is not stored.
 */
export class CoverageTable {
  #keys = new Float64Array(INITIAL_SLOTS);
  #starts = new Uint32Array(INITIAL_SLOTS);
  #counts = new Uint32Array(INITIAL_SLOTS);
  #used = 0;
  /** Pairs: the link's number, what the entry says. */
  #pool = new Uint32Array(2 * INITIAL_ENTRIES);
  #end = 0;
  #freed = 0;
  /** Starts of free blocks by the logarithm of their capacity. */
  #free: number[][] = [];

  /** Calls `take` with every link that has an entry for the key, and what it says. `take` must not change the table. */
  forEach(key: number, take: (link: number, choice: number) => void): void {
    const slot = this.#find(key);
    if (this.#keys[slot] !== key) return;
    const start = this.#starts[slot] ?? 0;
    const end = start + (this.#counts[slot] ?? 0);
    for (let at = start; at < end; at++) take(this.#pool[2 * at] ?? 0, this.#pool[2 * at + 1] ?? 0);
  }

  /** A link must not be added twice for one key. */
  add(key: number, link: number, choice: number): void {
    if (this.#used + 1 > this.#keys.length * FULLEST) this.#rehash(Math.ceil(this.#keys.length * GROWTH));
    const slot = this.#find(key);
    let start = this.#starts[slot] ?? 0;
    const count = this.#keys[slot] === key ? (this.#counts[slot] ?? 0) : 0;
    if (count === 0) {
      this.#keys[slot] = key;
      this.#used++;
      start = this.#allocate(0);
    } else if (isPowerOfTwo(count)) {
      const size = log2(count);
      const grown = this.#allocate(size + 1);
      start = this.#starts[slot] ?? 0; // allocating may have moved it
      this.#pool.copyWithin(2 * grown, 2 * start, 2 * (start + count));
      this.#release(start, size);
      start = grown;
    }
    this.#starts[slot] = start;
    this.#counts[slot] = count + 1;
    this.#put(start + count, link, choice);
  }

  remove(key: number, link: number): void {
    const slot = this.#find(key);
    if (this.#keys[slot] !== key) return;
    const start = this.#starts[slot] ?? 0;
    const count = this.#counts[slot] ?? 0;
    let at = start;
    while (at < start + count && this.#pool[2 * at] !== link) at++;
    if (at === start + count) return;
    const last = start + count - 1;
    this.#put(at, this.#pool[2 * last] ?? 0, this.#pool[2 * last + 1] ?? 0);
    this.#counts[slot] = count - 1;
    if (count === 1) {
      this.#release(start, 0);
      this.#vacate(slot);
    } else if (isPowerOfTwo(count - 1)) {
      // What is left fits into the first half.
      this.#release(start + count - 1, log2(count - 1));
    }
  }

  #put(at: number, link: number, choice: number): void {
    this.#pool[2 * at] = link;
    this.#pool[2 * at + 1] = choice;
  }

  /** The slot of the key, or the empty one where it belongs. */
  #find(key: number): number {
    const size = this.#keys.length;
    let slot = hash(key) % size;
    while (this.#keys[slot] !== key && this.#keys[slot] !== EMPTY) slot = slot + 1 === size ? 0 : slot + 1;
    return slot;
  }

  /** Empties a slot and moves up what was put behind it because it was taken, so that searches still meet no gap. */
  #vacate(slot: number): void {
    const size = this.#keys.length;
    let gap = slot;
    for (let at = (slot + 1) % size; this.#keys[at] !== EMPTY; at = (at + 1) % size) {
      const home = hash(this.#keys[at] ?? 0) % size;
      const reachable = gap <= at ? home <= gap || home > at : home <= gap && home > at;
      if (!reachable) continue;
      this.#move(at, gap);
      gap = at;
    }
    this.#keys[gap] = EMPTY;
    this.#counts[gap] = 0;
    this.#used--;
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from] ?? 0;
    this.#starts[to] = this.#starts[from] ?? 0;
    this.#counts[to] = this.#counts[from] ?? 0;
  }

  #rehash(size: number): void {
    const [keys, starts, counts] = [this.#keys, this.#starts, this.#counts];
    this.#keys = new Float64Array(size);
    this.#starts = new Uint32Array(size);
    this.#counts = new Uint32Array(size);
    keys.forEach((key, from) => {
      if (key === EMPTY) return;
      const slot = this.#find(key);
      this.#keys[slot] = key;
      this.#starts[slot] = starts[from] ?? 0;
      this.#counts[slot] = counts[from] ?? 0;
    });
  }

  #allocate(size: number): number {
    const freed = this.#free[size]?.pop();
    if (freed !== undefined) {
      this.#freed -= 1 << size;
      return freed;
    }
    if (this.#end + (1 << size) > this.#pool.length / 2) this.#makeRoom(1 << size);
    const start = this.#end;
    this.#end += 1 << size;
    return start;
  }

  #release(start: number, size: number): void {
    (this.#free[size] ??= []).push(start);
    this.#freed += 1 << size;
  }

  /** Another pool without the free blocks of this one. */
  #makeRoom(entries: number): void {
    const pool = new Uint32Array(2 * Math.ceil((this.#end - this.#freed + entries) * POOL_GROWTH));
    let end = 0;
    this.#keys.forEach((key, slot) => {
      const count = this.#counts[slot] ?? 0;
      if (key === EMPTY || count === 0) return;
      const start = this.#starts[slot] ?? 0;
      pool.set(this.#pool.subarray(2 * start, 2 * (start + count)), 2 * end);
      this.#starts[slot] = end;
      end += 1 << (32 - Math.clz32(count - 1));
    });
    this.#pool = pool;
    this.#end = end;
    this.#free = [];
    this.#freed = 0;
  }
}

function hash(key: number): number {
  const low = key >>> 0;
  const high = Math.floor(key / 0x1_0000_0000);
  let mixed = Math.imul(low ^ (low >>> 16), 0x85eb_ca6b) ^ Math.imul(high + 0x9e37_79b9, 0xc2b2_ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

/** Of a power of two. */
function log2(count: number): number {
  return 31 - Math.clz32(count);
}
