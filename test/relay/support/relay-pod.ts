import { Catalog } from "../../../src/catalog/catalog.ts";
import { Tail } from "../../../src/catalog/tail.ts";
import type { OpenDatabase } from "../../../src/db/db.ts";
import { Relay } from "../../../src/relay/relay.ts";
import type { RelayTimes } from "../../../src/relay/relay-times.ts";
import { connected, jetStreamBus } from "../../backends/jetstream-buses.ts";
import { TestStore } from "../../catalog/support/test-store.ts";
import type { Nats } from "../../cluster/nats.ts";
import { opened } from "../../db/opened-database.ts";
import { recordedLogger } from "../../db/recorded-logger.ts";
import { TappedBus } from "./tapped-bus.ts";

/** What a pod has for relaying: its connections, a catalog that follows, and a relay. */
export interface RelayPod extends AsyncDisposable {
  readonly store: TestStore;
  readonly database: OpenDatabase;
  readonly bus: TappedBus;
  readonly relay: Relay;
  readonly log: readonly string[];
}

export interface RelayPodOptions {
  readonly nats: Nats;
  /** Of the database. */
  readonly url: string;
  /** Publishes whether it has the lock or not. */
  readonly ignoresLock?: boolean;
  readonly times?: Partial<RelayTimes>;
}

const TIMES: RelayTimes = {
  poll: 250,
  stall: 60_000,
  reconcile: 3_600_000,
  reconcileSoon: 500,
  pause: 50,
  longestPause: 500,
};

export async function startRelayPod({ nats, url, ignoresLock, times }: RelayPodOptions): Promise<RelayPod> {
  const database = opened({ primary: url });
  const jetstream = jetStreamBus(nats);
  await connected(jetstream);
  const bus = new TappedBus(jetstream);
  const { logger, lines } = recordedLogger();
  const catalog = new Catalog();
  const tail = Tail.start({ database, catalog, logger });
  await tail.loaded;
  const stubborn: OpenDatabase = {
    ...database,
    tryLock: () => Promise.resolve({ lost: new AbortController().signal, release: () => Promise.resolve() }),
  };
  const relay = Relay.start({
    database: ignoresLock === true ? stubborn : database,
    bus,
    catalog,
    logger,
    times: { ...TIMES, ...times },
  });
  return {
    store: new TestStore(database),
    database,
    bus,
    relay,
    log: lines,
    [Symbol.asyncDispose]: async () => {
      await relay.close();
      await tail.close();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
