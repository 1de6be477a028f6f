import type { CatalogOptions } from "./catalog-options.ts";
import { decodeSnapshot, type CatalogSnapshot } from "./snapshot-format.ts";

/** A state to start from, and where it was found. */
export interface StoredState extends CatalogSnapshot {
  readonly source: "snapshot" | "bootstrap";
}

/** The snapshot, else the bootstrap; undefined when there is neither, or none can be used: `refused` is told why. Never rejects. */
export async function readStored(
  { snapshot, bootstrap, filter = "" }: Pick<CatalogOptions, "snapshot" | "bootstrap" | "filter">,
  refused: (error: Error) => void,
): Promise<StoredState | undefined> {
  const places = [
    { source: "snapshot", read: async () => snapshot?.store.read() },
    { source: "bootstrap", read: async () => bootstrap },
  ] as const;
  for (const { source, read } of places) {
    try {
      const bytes = await read();
      if (bytes !== undefined) return { source, ...(await decodeSnapshot(bytes, filter)) };
    } catch (error) {
      refused(error instanceof Error ? error : new Error(`the ${source} can't be read`, { cause: error }));
    }
  }
  return undefined;
}
