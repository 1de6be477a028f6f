import { create } from "@bufbuild/protobuf";
import {
  OperatorRemoved_Cause,
  WatchOperatorsRequestSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { Budget } from "../../../src/watch/budget.ts";
import { FrameCache } from "../../../src/watch/frame-cache.ts";
import type { WatchEvent, WatchFrame } from "../../../src/watch/watch-frame.ts";
import { parseWatchQuery } from "../../../src/watch/watch-start.ts";
import { watch, type WatchSources } from "../../../src/watch/watcher.ts";

export function watchSources(catalog: Catalog): WatchSources {
  return { catalog, frames: new FrameCache(), snapshots: new Budget(8), inFlight: new Budget(2 ** 25, 2_000) };
}

export interface WatchInit {
  readonly filter?: string;
  readonly startToken?: string;
  readonly initialSnapshot?: boolean;
  readonly bookmarkMs?: number;
}

/** One watch, read frame by frame. */
export class RecordedWatch {
  readonly #frames: AsyncGenerator<WatchFrame, never, undefined>;
  readonly #end = new AbortController();

  constructor(sources: WatchSources, { bookmarkMs = 60_000, ...init }: WatchInit = {}) {
    const query = parseWatchQuery(create(WatchOperatorsRequestSchema, init), sources.catalog);
    const progress = { cursor: undefined, inSnapshot: false };
    this.#frames = watch(sources, { ...query, bookmarkMs }, progress, this.#end.signal);
  }

  async next(): Promise<WatchFrame> {
    const { value } = await this.#frames.next();
    return value;
  }

  /** Reads until a frame carries this revision's token, and returns all frames. */
  async through(token: string): Promise<WatchFrame[]> {
    const frames: WatchFrame[] = [];
    for (;;) {
      const frame = await this.next();
      frames.push(frame);
      if (frame.token === token) return frames;
    }
  }

  /** Stops to read, while its signal says nothing. */
  async leave(): Promise<void> {
    await this.#frames.return(undefined as never);
  }

  async close(): Promise<void> {
    this.#end.abort(new Error("closed by the test"));
    await this.leave();
  }
}

/** Events as short texts: `+id` and `-id CAUSE`. */
export function told(frames: readonly WatchFrame[]): string[] {
  return frames.flatMap((frame) => (frame.kind === "changes" ? frame.events.map(toldEvent) : []));
}

function toldEvent(event: WatchEvent): string {
  return event.kind === "upsert"
    ? `+${event.entry.id}`
    : `-${event.id} ${event.cause === OperatorRemoved_Cause.DELETED ? "DELETED" : "LEFT_FILTER"}`;
}
