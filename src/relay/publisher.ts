import type { Position } from "@operator-management/client";
import type { Logger } from "pino";
import { WrongLastSequenceError, type Bus } from "../backends/bus/bus.ts";
import { sameBytes } from "../catalog/bytes.ts";
import { readHead } from "../catalog/load.ts";
import type { OpenDatabase, Transaction } from "../db/db.ts";
import { leadsTo } from "./chain.ts";
import { readChangeBatch } from "./change-batch.ts";
import { absenceEvent, changeEvent, MAX_EVENT_BYTES, subjectOf } from "./config-event.ts";
import { readRecords } from "./last-records.ts";
import { readOrigin } from "./origin.ts";
import type { Outgoing } from "./outgoing.ts";
import { headersOf, isComplete, isOutdated, placeIn, type Origin, type Place } from "./place.ts";
import { findDifferences, type Difference } from "./reconcile.ts";
import { Refill } from "./refill.ts";

const STREAM = "OPS_CONFIG";
const REPAIRS_AT_ONCE = 16;
const SNAPSHOT = { isolationLevel: "repeatable read", accessMode: "read only" } as const;

/** What the publisher works on. */
export interface PublisherDeps {
  readonly database: Pick<OpenDatabase, "db" | "dropPrimary">;
  readonly bus: Bus;
  readonly logger: Pick<Logger, "info" | "warn">;
  /** Records above this size are told by reference. */
  readonly maxBytes?: number;
}

/** What became of a step: published and perhaps more to do; nothing left; or somebody else has published. */
export type Step = "published" | "done" | "overtaken";

/** The stream's end as it was last seen. */
export interface StreamEnd {
  /** The highest sequence that the stream has given out. */
  readonly sequence: number;
  /** The sequence of the last message that it still has. */
  readonly lastMessage: number | undefined;
  /** Undefined when the stream is empty, or its last message is not a relay's. */
  readonly place: Place | undefined;
}

/** This database is of before a failover that the stream has seen: somebody must take it away, or nobody else is relaying. */
export class FormerPrimaryError extends Error {
  override readonly name = "FormerPrimaryError";
  constructor() {
    super("this database is a former primary: its successor's changes are in the stream already");
  }
}

interface Here {
  readonly head: Position;
  readonly origin: Origin | undefined;
}

/**
 * Brings the stream to the head of history, step by step. The stream itself holds how far it is, and takes a message only from who knows
 * its end, so that any number of publishers may be at work, or wake up after any time.
 */
export class Publisher {
  published = 0;
  /** How often everything was told anew. */
  resets = 0;
  /** How many operators a comparison has found wrong in the stream. */
  repairs = 0;
  /** The revision through which the stream is known to hold everything; 0 when that is unknown. */
  told = 0n;
  readonly #deps: PublisherDeps;
  #end: StreamEnd | undefined;
  /** A position known to be in the history that the stream's end is in. */
  #checkpoint: Position | undefined;
  #refill: Refill | undefined;

  constructor(deps: PublisherDeps) {
    this.#deps = deps;
  }

  /** Looks at the stream's end; true when it is another one than this publisher left or saw last. */
  async look(signal: AbortSignal): Promise<boolean> {
    const { bus } = this.#deps;
    // In this order: what comes in between shows in the message.
    const sequence = await bus.lastSequence(STREAM, signal);
    const last = await bus.lastMessage(STREAM, signal);
    const end: StreamEnd = {
      sequence: Math.max(sequence, last?.sequence ?? 0),
      lastMessage: last?.sequence,
      place: last && placeIn(last.headers),
    };
    if (end.sequence === this.#end?.sequence && end.lastMessage === this.#end.lastMessage) return false;
    this.#forget();
    this.#see(end);
    return true;
  }

  /** The stream's end as it was last seen. */
  get end(): StreamEnd | undefined {
    return this.#end;
  }

  /** Publishes what comes next. @throws BusUnavailableError, FormerPrimaryError, whatever the database throws */
  async advance(signal: AbortSignal): Promise<Step> {
    if (this.#end === undefined) await this.look(signal);
    const place = this.#end?.place;
    const messages = await this.#snapshot(place, async (tx, here) => {
      return (place && (await this.#next(tx, place, here))) ?? (await this.#anew(tx, place, here));
    });
    return messages.length === 0 ? "done" : this.#publish(messages, signal);
  }

  /**
   * Compares the whole stream with history and tells again what is wrong; to be called when there is nothing else to do.
   * @throws like advance
   */
  async reconcile(signal: AbortSignal): Promise<Step> {
    const { bus, database, logger } = this.#deps;
    if (this.#end?.place === undefined) return "overtaken";
    const { sequence, place } = this.#end;
    const { revision } = place.position;
    const differences = await findDifferences(bus, database.db, { sequence, revision }, signal);
    if (differences.length === 0) return "done";
    const operators = differences.slice(0, 20).map(({ operatorId }) => operatorId);
    logger.warn(
      { count: differences.length, operators, revision },
      "the stream said something else of operators than history: told again",
    );
    for (let at = 0; at < differences.length; at += REPAIRS_AT_ONCE) {
      const some = differences.slice(at, at + REPAIRS_AT_ONCE);
      const messages = await this.#snapshot(place, (tx, here) => this.#repairs(tx, some, place, here));
      const step = await this.#publish(messages, signal);
      if (step === "overtaken") return step;
      this.repairs += messages.length;
    }
    return "published";
  }

  /** What follows the place; undefined when the place is not in this history. */
  async #next(tx: Transaction, place: Place, { head, origin }: Here): Promise<readonly Outgoing[] | undefined> {
    const { position } = place;
    if (!sameBytes(position.store, head.store) || position.revision > head.revision) return undefined;
    const { maxBytes = MAX_EVENT_BYTES } = this.#deps;
    if (place.part === "refill" && !isComplete(place)) {
      if (!(await this.#leadsTo(tx, position, head))) return undefined;
      if (this.#refill?.isAt(position) !== true) this.#refill = await Refill.at(tx, position);
      return this.#refill.after(tx, place, { origin, maxBytes });
    }
    this.#refill = undefined;
    const batch = await readChangeBatch(tx, place, { head, origin, checkpoint: this.#checkpoint, maxBytes });
    return batch && (await this.#leadsTo(tx, batch.end, head)) ? batch.messages : undefined;
  }

  async #anew(tx: Transaction, place: Place | undefined, { head, origin }: Here): Promise<readonly Outgoing[]> {
    const facts = { revision: head.revision, streamRevision: place?.position.revision };
    this.#deps.logger.warn(facts, "the stream is empty or of another history: telling everything anew");
    this.#checkpoint = head;
    this.#refill = await Refill.at(tx, head);
    return [this.#refill.reset(origin)];
  }

  async #repairs(tx: Transaction, some: readonly Difference[], place: Place, here: Here): Promise<Outgoing[]> {
    const { maxBytes = MAX_EVENT_BYTES } = this.#deps;
    const { position } = place;
    if (!(await this.#leadsTo(tx, position, here.head))) return []; // the next step sees it too
    const repair: Place = { position, part: "repair", index: 0, count: 1, origin: here.origin };
    const rows = await readRecords(
      tx,
      some.flatMap(({ key }) => key ?? []),
    );
    return [
      ...rows.map((row) => ({
        subject: subjectOf(row.operatorId),
        data: changeEvent(row, position, 0, maxBytes),
        place: repair,
      })),
      ...some
        .filter(({ key }) => key === undefined)
        .map(({ operatorId }) => ({ subject: subjectOf(operatorId), data: absenceEvent(operatorId), place: repair })),
    ];
  }

  /**
   * Whether the position, to which the stream's end leads, is in the history that ends at the head. Chained only once for each stretch: at
   * the latest its end shows if another history has taken over meanwhile.
   */
  async #leadsTo(tx: Transaction, position: Position, head: Position): Promise<boolean> {
    const known = this.#checkpoint;
    if (known !== undefined && position.revision <= known.revision && position.revision < head.revision) {
      if (known.revision < head.revision || isSame(known, head)) return true;
    }
    if (!(await leadsTo(tx, position, head))) return false;
    this.#checkpoint = head;
    return true;
  }

  /** Runs `work` in one snapshot of the primary, once it is sure that it is one. */
  async #snapshot<T>(place: Place | undefined, work: (tx: Transaction, here: Here) => Promise<T>): Promise<T> {
    const { database } = this.#deps;
    return database.db.transaction(async (tx) => {
      const { position: head, inRecovery } = await readHead(tx);
      if (inRecovery) {
        database.dropPrimary();
        throw new Error("the database that was the primary is a standby");
      }
      const origin = await readOrigin(tx);
      if (isOutdated(origin, place?.origin)) throw new FormerPrimaryError();
      return work(tx, { head, origin });
    }, SNAPSHOT);
  }

  /** Publishes in order, each only where the one before is the stream's last. */
  async #publish(messages: readonly Outgoing[], signal: AbortSignal): Promise<Step> {
    for (const { subject, data, place } of messages) {
      signal.throwIfAborted();
      const expectedLastSequence = this.#end?.sequence ?? 0;
      try {
        // Without a message id: who emptied a stream must not have its refill dropped as a repetition.
        const options = { headers: headersOf(place), expectedLastSequence, signal };
        const sequence = await this.#deps.bus.publish(subject, data, options);
        this.#see({ sequence, lastMessage: sequence, place });
      } catch (error) {
        this.#forget(); // it may be there or not
        if (error instanceof WrongLastSequenceError) return "overtaken";
        throw error;
      }
      this.published++;
      if (place.part === "refill" && place.index === 0) this.resets++;
    }
    return "published";
  }

  #see(end: StreamEnd): void {
    this.#end = end;
    const { place } = end;
    if (place === undefined || (place.part === "refill" && !isComplete(place))) this.told = 0n;
    else this.told = isComplete(place) ? place.position.revision : place.position.revision - 1n;
  }

  #forget(): void {
    this.#end = undefined;
    this.#checkpoint = undefined;
  }
}

function isSame(a: Position, b: Position): boolean {
  return a.revision === b.revision && sameBytes(a.fingerprint, b.fingerprint);
}
