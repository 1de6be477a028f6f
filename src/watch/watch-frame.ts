import { OperatorRemoved_Cause } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { CatalogEntry } from "../catalog/entry.ts";
import type { Revision } from "../catalog/revision.ts";
import type { Filter } from "../filter/filter.ts";

/** One operator's change, as a watch with a certain filter sees it. */
export type WatchEvent =
  | { readonly kind: "upsert"; readonly entry: CatalogEntry }
  | { readonly kind: "removed"; readonly id: string; readonly uid: string; readonly cause: OperatorRemoved_Cause };

/** All changes of one revision, or a part of a snapshot. */
export interface ChangesFrame {
  readonly kind: "changes";
  readonly events: readonly WatchEvent[];
  /** Empty within a snapshot. */
  readonly token: string;
  /** About how many it is when encoded. */
  readonly bytes: number;
}

/** No change, but a newer position. */
export interface BookmarkFrame {
  readonly kind: "bookmark";
  readonly token: string;
  readonly initialComplete: boolean;
  readonly staleSince: Date | undefined;
}

/** What a watch sends, before anything about the wire. */
export type WatchFrame = ChangesFrame | BookmarkFrame;

export function changesFrame(events: readonly WatchEvent[], token: string): ChangesFrame {
  const bytes = events.reduce((sum, event) => sum + (event.kind === "upsert" ? event.entry.delimited.length : 0), 0);
  return { kind: "changes", events, token, bytes };
}

/** What a revision is to a watch with this filter: entering it is an upsert, leaving it a removal. */
export function eventsOf({ changes }: Revision, filter: Filter): WatchEvent[] {
  return changes.flatMap(({ id, uid, before, after }): WatchEvent[] => {
    if (after !== undefined && filter.matches(after.keys)) return [{ kind: "upsert", entry: after }];
    if (before === undefined || !filter.matches(before)) return [];
    const cause = after === undefined ? OperatorRemoved_Cause.DELETED : OperatorRemoved_Cause.LEFT_FILTER;
    return [{ kind: "removed", id, uid, cause }];
  });
}
