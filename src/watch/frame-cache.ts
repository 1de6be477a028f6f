import { encodeToken, type Position } from "@operator-management/client";
import type { Revision } from "../catalog/revision.ts";
import type { Filter } from "../filter/filter.ts";
import { changesFrame, eventsOf, type ChangesFrame } from "./watch-frame.ts";

/** How much is kept for watchers that come to a revision later than the first one with their filter. */
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_FRAMES = 1_000;

/** Makes the frame of a revision once for all watchers with the same filter, so that it is matched and encoded once. */
export class FrameCache {
  readonly #frames = new WeakMap<Revision, Map<string, ChangesFrame>>();
  /** The oldest first. */
  readonly #kept: { readonly revision: Revision; readonly filter: string }[] = [];
  #bytes = 0;

  /** The revision at `position`, as a watch with this filter sees it. */
  frameOf(revision: Revision, position: Position, filter: Filter): ChangesFrame {
    const known = this.#frames.get(revision)?.get(filter.canonical);
    if (known !== undefined) return known;
    const frame = changesFrame(eventsOf(revision, filter), encodeToken(position, filter.hash));
    this.#keep(revision, filter.canonical, frame);
    return frame;
  }

  #keep(revision: Revision, filter: string, frame: ChangesFrame): void {
    const frames = this.#frames.get(revision) ?? new Map<string, ChangesFrame>();
    this.#frames.set(revision, frames.set(filter, frame));
    this.#kept.push({ revision, filter });
    this.#bytes += revision.bytes;
    while (this.#kept.length > MAX_FRAMES || this.#bytes > MAX_BYTES) {
      const oldest = this.#kept.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest.revision.bytes;
      this.#frames.get(oldest.revision)?.delete(oldest.filter);
    }
  }
}
