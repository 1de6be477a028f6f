import type { Position } from "@operator-management/client";
import { nextFingerprint } from "../history/fingerprint.ts";
import { sameBytes } from "./bytes.ts";
import type { Catalog } from "./catalog.ts";
import type { IndexKeys } from "./index-keys.ts";
import { oldestWithin, readChanges, type Reader } from "./read-changes.ts";
import { readRevision, type Revision } from "./revision.ts";
import type { RingLimits } from "./ring.ts";

/** A revision, and the fingerprint it makes of the one before. */
export interface Link {
  readonly revision: Revision;
  readonly fingerprint: Uint8Array;
}

/** One revision is at most 2 MiB: only a larger distance needs a look at the sizes first. */
const NEAR = 4n;

/** The revisions from the catalog's position to the head; or why they don't lead from here to there, so that only loading helps. */
export async function readLinks(
  reader: Reader,
  catalog: Catalog,
  head: Position,
  limits: RingLimits,
): Promise<{ readonly links: readonly Link[] } | { readonly broken: string; readonly forked: boolean }> {
  const { revision: mine, fingerprint } = catalog.position;
  if (head.revision - mine > NEAR && (await oldestWithin(reader, head.revision, limits)) > mine) {
    return { broken: "too far behind", forked: false };
  }
  const rows = await readChanges(reader, mine, head.revision);
  const links: Link[] = [];
  const touched = new Map<string, { readonly uid: string; readonly keys: IndexKeys | undefined }>();
  const before = (id: string, uid: string): IndexKeys | undefined => {
    const known = touched.get(id) ?? catalog.get(id);
    return known?.uid === uid ? known.keys : undefined;
  };
  let previous = fingerprint;
  for (let next = mine + 1n; next <= head.revision; next++) {
    const changes = rows.get(next);
    if (changes === undefined) return { broken: "a gap in the history", forked: true };
    let revision: Revision;
    try {
      revision = readRevision(next, changes, { before, same: () => undefined });
    } catch {
      return { broken: "a record that can't be read", forked: false }; // VerifyHistory says more; the operators' own rows may be well
    }
    for (const { id, uid, after } of revision.changes) touched.set(id, { uid, keys: after?.keys });
    previous = nextFingerprint(previous, next, revision.digests);
    links.push({ revision, fingerprint: previous });
  }
  return sameBytes(previous, head.fingerprint) ? { links } : { broken: "another history", forked: true };
}
