import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import type { RingLimits } from "../../../src/catalog/ring.ts";
import { Tail } from "../../../src/catalog/tail.ts";
import { TestStore } from "./test-store.ts";

/** A store for a test file, empty before each test, and catalogs that follow it until the test ends. */
export interface FollowedStore {
  readonly store: TestStore;
  follow(ringLimits?: RingLimits): Promise<{ catalog: Catalog; tail: Tail }>;
  /** Another tail for a catalog whose own was closed. */
  followOn(catalog: Catalog, ringLimits?: RingLimits): Tail;
}

export function useFollowedStore(): FollowedStore {
  let store: TestStore | undefined;
  let tails: Tail[] = [];
  const opened = (): TestStore => {
    if (store === undefined) throw new Error("the store is there within tests only");
    return store;
  };
  const followOn = (catalog: Catalog, ringLimits?: RingLimits): Tail => {
    const logger = pino({ enabled: false });
    const tail = Tail.start({ database: opened().database, catalog, logger, ...(ringLimits && { ringLimits }) });
    tails.push(tail);
    return tail;
  };
  beforeAll(async () => {
    store = await TestStore.open();
  });
  afterAll(() => opened().close());
  beforeEach(() => opened().reset());
  afterEach(async () => {
    await Promise.all(tails.map((tail) => tail.close()));
    tails = [];
  });
  return {
    get store() {
      return opened();
    },
    async follow(ringLimits) {
      const catalog = new Catalog();
      const tail = followOn(catalog, ringLimits);
      await tail.loaded;
      return { catalog, tail };
    },
    followOn,
  };
}
