import type { Catalog } from "../catalog/catalog.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import type { LinkId } from "./subjects.ts";

/** What became of links since the last look. */
export interface LinkNews {
  /** New ones, and those whose operator has changed. */
  readonly changed: readonly LinkId[];
  readonly removed: readonly (LinkId & { readonly operatorId: string })[];
}

/** The links of all live operators by their uid, as the catalog has them. */
export class LiveLinks {
  readonly #operators = new Map<string, { readonly entry: CatalogEntry; readonly connections: ReadonlySet<string> }>();

  /** The live operator's entry. */
  entryOf(operatorUid: string): CatalogEntry | undefined {
    return this.#operators.get(operatorUid)?.entry;
  }

  has({ operatorUid, connectionId }: LinkId): boolean {
    return this.#operators.get(operatorUid)?.connections.has(connectionId) === true;
  }

  /** Compares with the catalog: entries are immutable, so only those that are other objects have changed. */
  read(catalog: Pick<Catalog, "snapshot">): LinkNews {
    const changed: LinkId[] = [];
    const removed: (LinkId & { readonly operatorId: string })[] = [];
    const gone = new Map(this.#operators);
    for (const entry of catalog.snapshot()) {
      const known = gone.get(entry.uid);
      gone.delete(entry.uid);
      if (known?.entry === entry) continue;
      const connections = new Set(Object.keys(entry.operator.connections));
      this.#operators.set(entry.uid, { entry, connections });
      for (const connectionId of connections) changed.push({ operatorUid: entry.uid, connectionId });
      for (const connectionId of known?.connections ?? []) {
        if (!connections.has(connectionId))
          removed.push({ operatorUid: entry.uid, connectionId, operatorId: entry.id });
      }
    }
    for (const [operatorUid, { entry, connections }] of gone) {
      this.#operators.delete(operatorUid);
      for (const connectionId of connections) removed.push({ operatorUid, connectionId, operatorId: entry.id });
    }
    return { changed, removed };
  }
}
