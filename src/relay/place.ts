import type { Position } from "@operator-management/client";

/** Which work a message is a part of: a revision, everything told anew, or one operator told again because the stream was wrong. */
export type Part = "change" | "refill" | "repair";

/**
 * How far the stream is, as the headers of its last message say: it holds all of history before `position`, and of `position` itself the
 * messages 0 to `index` of `count`.
 */
export interface Place {
  readonly position: Position;
  readonly part: Part;
  readonly index: number;
  readonly count: number;
  /** Which database server wrote it; undefined where that can't be told. */
  readonly origin: Origin | undefined;
}

/** A database server. A standby has its primary's system, and when it is promoted begins a higher timeline. */
export interface Origin {
  readonly system: string;
  readonly timeline: number;
}

/** Whether nothing of the place's own revision, or refill, is missing. */
export function isComplete({ index, count }: Place): boolean {
  return index === count - 1;
}

/** The headers that hold a place. */
export function headersOf({ position, part, index, count, origin }: Place): Record<string, string> {
  return {
    "Ops-Store": hex(position.store),
    "Ops-Revision": String(position.revision),
    "Ops-Fingerprint": hex(position.fingerprint),
    "Ops-Index": String(index),
    "Ops-Count": String(count),
    "Ops-Part": part,
    ...(origin && { "Ops-Origin": `${origin.system}/${origin.timeline}` }),
  };
}

/** The place in a message's headers; undefined when they hold none, as those of a message that no relay has published. */
export function placeIn(headers: Readonly<Record<string, string>>): Place | undefined {
  const { "Ops-Store": store = "", "Ops-Fingerprint": fingerprint = "", "Ops-Part": part } = headers;
  const [revision, index, count] = [headers["Ops-Revision"], headers["Ops-Index"], headers["Ops-Count"]];
  if (!isHex(store, 16) || !isHex(fingerprint, 32)) return undefined;
  if (!isNumber(revision) || !isNumber(index) || !isNumber(count) || Number(index) >= Number(count)) return undefined;
  if (part !== "change" && part !== "refill" && part !== "repair") return undefined;
  return {
    position: { store: bytes(store), revision: BigInt(revision), fingerprint: bytes(fingerprint) },
    part,
    index: Number(index),
    count: Number(count),
    origin: originIn(headers["Ops-Origin"]),
  };
}

/** Whether a place was written after a failover that this server has no part in: it is the former primary. */
export function isOutdated(mine: Origin | undefined, written: Origin | undefined): boolean {
  if (mine === undefined || written === undefined) return false;
  return mine.system === written.system && mine.timeline < written.timeline;
}

function originIn(text = ""): Origin | undefined {
  const [, system, timeline] = /^(\d{1,20})\/(\d{1,10})$/.exec(text) ?? [];
  return system === undefined || timeline === undefined ? undefined : { system, timeline: Number(timeline) };
}

function isHex(text: string, length: number): boolean {
  return text.length === 2 * length && /^[0-9a-f]*$/.test(text);
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d{1,15}$/.test(text);
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString("hex");
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}
