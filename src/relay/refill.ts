import type { Position } from "@operator-management/client";
import { sameBytes } from "../catalog/bytes.ts";
import type { Transaction } from "../db/db.ts";
import { changeEvent, RESET_SUBJECT, resetEvent, subjectOf } from "./config-event.ts";
import { lastRecordKeys, readRecords, type RecordKey } from "./last-records.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Origin, Place } from "./place.ts";

const RECORDS_AT_ONCE = 16;

/**
 * Telling everything anew: a reset, then every operator as it was at one position, however far history goes on meanwhile. What belongs to
 * it follows from the position alone, so another process can go on where one stopped.
 */
export class Refill {
  readonly position: Position;
  readonly #keys: readonly RecordKey[];

  /** The position must be in the history that the transaction reads. */
  static async at(tx: Transaction, position: Position): Promise<Refill> {
    return new Refill(position, await lastRecordKeys(tx, position.revision));
  }

  private constructor(position: Position, keys: readonly RecordKey[]) {
    this.position = position;
    this.#keys = keys;
  }

  /** How many messages it is made of. */
  get count(): number {
    return 1 + this.#keys.length;
  }

  isAt({ revision, fingerprint }: Position): boolean {
    return this.position.revision === revision && sameBytes(this.position.fingerprint, fingerprint);
  }

  /** The message that begins it. */
  reset(origin: Origin | undefined): Outgoing {
    const data = resetEvent(this.position, this.#keys.length);
    return { subject: RESET_SUBJECT, data, place: this.#placeAt(0, origin) };
  }

  /** Some of the messages after a place within it; undefined when the database doesn't hold them any more. */
  async after(tx: Transaction, { index, count }: Place, context: RefillContext): Promise<Outgoing[] | undefined> {
    if (count !== this.count) return undefined;
    const rows = await readRecords(tx, this.#keys.slice(index, index + RECORDS_AT_ONCE));
    if (rows.length !== Math.min(RECORDS_AT_ONCE, this.#keys.length - index)) return undefined;
    return rows.map((row, offset) => {
      const place = this.#placeAt(index + 1 + offset, context.origin);
      const left = count - 1 - place.index;
      const data = changeEvent(row, this.position, left, context.maxBytes);
      return { subject: subjectOf(row.operatorId), data, place };
    });
  }

  #placeAt(index: number, origin: Origin | undefined): Place {
    return { position: this.position, part: "refill", index, count: this.count, origin };
  }
}

/** What messages are made with. */
export interface RefillContext {
  readonly origin: Origin | undefined;
  /** Records above this size are told by reference. */
  readonly maxBytes: number | undefined;
}
