import type { Position } from "@operator-management/client";
import { nextFingerprint } from "../history/fingerprint.ts";
import { sameBytes } from "./bytes.ts";
import { Claims } from "./claims.ts";
import type { Revision } from "./revision.ts";

/** How much of the latest history stays in memory: whichever limit is reached first. */
export interface RingLimits {
  readonly bytes: number;
  readonly revisions: number;
}

export const RING_LIMITS: RingLimits = { bytes: 16 * 1024 * 1024, revisions: 10_000 };

interface Slot {
  readonly revision: Revision;
  /** Undefined as long as nobody has shown one that leads to the head's: the database keeps only the head's. */
  fingerprint: Uint8Array | undefined;
}

/**
 * The latest revisions, in order and without gaps: what a watch can resume from. A watcher is a cursor, the number of the last
 * revision that it has seen; its place is in the ring while `floor <= cursor <= head`.
 */
export class Ring {
  readonly store: Uint8Array;
  readonly #limits: RingLimits;
  readonly #slots: Slot[] = [];
  #floor: { readonly revision: bigint; fingerprint: Uint8Array | undefined };
  #head: Position;
  #bytes = 0;
  readonly #claims = new Claims();

  /** `head` is the position of the last revision, or of the floor when there are none. */
  constructor(head: Position, revisions: readonly Revision[] = [], limits: RingLimits = RING_LIMITS) {
    this.store = head.store;
    this.#limits = limits;
    this.#head = head;
    this.#floor = { revision: head.revision - BigInt(revisions.length), fingerprint: undefined };
    for (const revision of revisions) this.#add({ revision, fingerprint: undefined });
    this.#learn(head.revision, head.fingerprint);
    this.#evict();
  }

  /** The position of the last revision. */
  get head(): Position {
    return this.#head;
  }

  /** The oldest position that a watch can resume from. */
  get floor(): bigint {
    return this.#floor.revision;
  }

  /** How many revisions it holds. */
  get size(): number {
    return this.#slots.length;
  }

  /** About how much memory they take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the revision after the head, and forgets the oldest ones beyond the limits. */
  push(revision: Revision, fingerprint: Uint8Array): void {
    if (revision.revision !== this.#head.revision + 1n) throw new Error("revisions must be contiguous");
    this.#add({ revision, fingerprint });
    this.#head = { store: this.store, revision: revision.revision, fingerprint };
    this.#evict();
  }

  /** The revision after this cursor; undefined at the head. The cursor must not be below the floor. */
  after(cursor: bigint): Revision | undefined {
    return this.#slot(cursor + 1n)?.revision;
  }

  /** The position of a revision; undefined when it is not in the ring, or nothing has told its fingerprint yet. */
  positionOf(revision: bigint): Position | undefined {
    const fingerprint = this.#fingerprintOf(revision);
    return fingerprint === undefined ? undefined : { store: this.store, revision, fingerprint };
  }

  /**
   * Whether a position from the floor to the head is one of this history. Where the fingerprint isn't known (the database keeps only the
   * head's) it is enough that the chain leads from the claimed one to the head's; what lies between is then known too. Throws
   * CATALOG_BEHIND when too many claims that lead nowhere were made lately.
   */
  contains(revision: bigint, fingerprint: Uint8Array): boolean {
    const known = this.#fingerprintOf(revision);
    if (known !== undefined) return sameBytes(known, fingerprint);
    if (revision < this.floor || revision > this.#head.revision) return false;
    return this.#claims.check(revision, fingerprint, () => this.#prove(revision, fingerprint));
  }

  /** Follows the chain from a claimed fingerprint to the first known one. Remembers what it passed if it gets there. */
  #prove(revision: bigint, fingerprint: Uint8Array): { readonly holds: boolean; readonly hashes: number } {
    const learned: [bigint, Uint8Array][] = [[revision, fingerprint]];
    let previous = fingerprint;
    for (let next = revision + 1n; ; next++) {
      const slot = this.#slot(next);
      if (slot === undefined) return { holds: false, hashes: learned.length };
      previous = nextFingerprint(previous, next, slot.revision.digests);
      if (slot.fingerprint !== undefined) {
        const holds = sameBytes(previous, slot.fingerprint);
        if (holds) for (const [at, value] of learned) this.#learn(at, value);
        return { holds, hashes: learned.length };
      }
      learned.push([next, previous]);
    }
  }

  #add(slot: Slot): void {
    this.#slots.push(slot);
    this.#bytes += slot.revision.bytes;
  }

  #evict(): void {
    while (this.size > this.#limits.revisions || (this.size > 1 && this.#bytes > this.#limits.bytes)) {
      const slot = this.#slots.shift();
      if (slot === undefined) break;
      this.#bytes -= slot.revision.bytes;
      this.#floor = { revision: slot.revision.revision, fingerprint: slot.fingerprint };
    }
  }

  #slot(revision: bigint): Slot | undefined {
    return revision > this.floor ? this.#slots[Number(revision - this.floor) - 1] : undefined;
  }

  #fingerprintOf(revision: bigint): Uint8Array | undefined {
    return revision === this.floor ? this.#floor.fingerprint : this.#slot(revision)?.fingerprint;
  }

  #learn(revision: bigint, fingerprint: Uint8Array): void {
    const place = revision === this.floor ? this.#floor : this.#slot(revision);
    if (place !== undefined) place.fingerprint = fingerprint;
  }
}
