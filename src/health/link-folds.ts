import type { Logger } from "pino";
import type { CatalogEntry } from "../catalog/entry.ts";
import { foldConnection, type Folded, type ObservedReport } from "./fold.ts";
import { forFold, type RecordedState } from "./recorded-states.ts";
import { linkKey, type LinkId } from "./subjects.ts";
import { windowsAt, type Windows } from "./windows.ts";

/** Windows are looked at anew at random within this time, so that not all links are due at once. */
const LOOK_AGAIN_MS = 12 * 60 * 60_000;
const COMPLAIN_EVERY_MS = 60_000;

/** What a fold is made of. */
export interface FoldSources {
  readonly reports: (link: LinkId) => readonly ObservedReport[];
  readonly recorded: (link: LinkId) => RecordedState | undefined;
  readonly knownNodes: Pick<ReadonlySet<string>, "has">;
  readonly logger: Pick<Logger, "error">;
  readonly now: () => Date;
}

/** Of the many links without windows. */
const NONE: Windows = {
  current: undefined,
  upcoming: [],
  keepBinds: true,
  lastChange: undefined,
  nextChange: undefined,
};

interface PlannedWork {
  readonly entry: CatalogEntry;
  readonly windows: Windows;
  readonly until: number;
}

/** Folds links, and keeps between two folds what is dear to compute and seldom changes: where maintenance windows begin and end. */
export class LinkFolds {
  readonly #sources: FoldSources;
  readonly #windows = new Map<string, PlannedWork>();
  #complainedAt = -Infinity;

  constructor(sources: FoldSources) {
    this.#sources = sources;
  }

  /**
   * The link's health now, with or without each observer's own view; undefined where a defect keeps it from being computed, which is logged:
   * the caller keeps what it has.
   */
  fold(entry: CatalogEntry, link: LinkId, { withObservers }: { readonly withObservers: boolean }): Folded | undefined {
    const { reports, recorded, knownNodes, logger, now } = this.#sources;
    const at = now();
    try {
      return foldConnection({
        operator: entry.operator,
        connectionId: link.connectionId,
        reports: reports(link),
        now: at,
        recorded: forFold(recorded(link)),
        withObservers,
        knownNodes,
        windows: this.#windowsOf(entry, link, at),
      });
    } catch (error) {
      if (at.getTime() - this.#complainedAt >= COMPLAIN_EVERY_MS) {
        this.#complainedAt = at.getTime();
        logger.error(
          { err: error, link: linkKey(link) },
          "a link's health could not be computed: it keeps the one it has",
        );
      }
      return undefined;
    }
  }

  /** The link is gone. */
  forget(link: LinkId): void {
    this.#windows.delete(linkKey(link));
  }

  #windowsOf(entry: CatalogEntry, link: LinkId, now: Date): Windows {
    const { operator } = entry;
    const own = operator.connections[link.connectionId]?.maintenanceWindows ?? [];
    if (operator.maintenanceWindows.length + own.length === 0) return NONE;
    const key = linkKey(link);
    const known = this.#windows.get(key);
    if (known?.entry === entry && now.getTime() < known.until) return known.windows;
    const windows = windowsAt(operator, link.connectionId, now);
    const look = now.getTime() + LOOK_AGAIN_MS * (1 + Math.random());
    this.#windows.set(key, { entry, windows, until: Math.min(look, windows.nextChange?.getTime() ?? Infinity) });
    return windows;
  }
}
