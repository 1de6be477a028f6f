import type { CatalogEntry } from "../catalog/entry.ts";
import type { Revision } from "../catalog/revision.ts";
import type { LinkId } from "./subjects.ts";

/** What became of links. */
export interface LinkNews {
  /** New ones, and those whose operator has changed. */
  readonly changed: LinkId[];
  readonly removed: (LinkId & { readonly operatorId: string })[];
}

/** The links of all live operators by their uid, as the catalog has them. */
export class LiveLinks {
  readonly #operators = new Map<string, CatalogEntry>();

  /** The operator of a live link. */
  entryOf({ operatorUid, connectionId }: LinkId): CatalogEntry | undefined {
    const entry = this.#operators.get(operatorUid);
    return entry?.keys.connectionIds.includes(connectionId) === true ? entry : undefined;
  }

  /** Takes one revision. */
  apply({ changes }: Revision): LinkNews {
    const news: LinkNews = { changed: [], removed: [] };
    for (const { uid, after } of changes) this.#set(uid, after, news);
    return news;
  }

  /** Takes a whole state: entries are immutable, so only those that are other objects have changed. */
  replace(entries: readonly CatalogEntry[]): LinkNews {
    const news: LinkNews = { changed: [], removed: [] };
    const gone = new Set(this.#operators.keys());
    for (const entry of entries) {
      gone.delete(entry.uid);
      if (this.#operators.get(entry.uid) !== entry) this.#set(entry.uid, entry, news);
    }
    for (const uid of gone) this.#set(uid, undefined, news);
    return news;
  }

  #set(operatorUid: string, after: CatalogEntry | undefined, { changed, removed }: LinkNews): void {
    const before = this.#operators.get(operatorUid);
    if (after === undefined) this.#operators.delete(operatorUid);
    else this.#operators.set(operatorUid, after);
    const left = after?.keys.connectionIds ?? [];
    for (const connectionId of left) changed.push({ operatorUid, connectionId });
    if (before === undefined) return;
    for (const connectionId of before.keys.connectionIds) {
      if (!left.includes(connectionId)) removed.push({ operatorUid, connectionId, operatorId: before.id });
    }
  }
}
