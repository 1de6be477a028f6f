import { pino, type Logger } from "pino";
import { afterEach } from "vitest";
import { InProcessBus } from "../../../src/backends/bus/in-process-bus.ts";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import type { OpenDatabase } from "../../../src/db/db.ts";
import type { RelayTimes } from "../../../src/relay/relay-times.ts";
import { Relay, type RelayOptions } from "../../../src/relay/relay.ts";
import { useFollowedStore } from "../../catalog/support/followed-store.ts";
import type { TestStore } from "../../catalog/support/test-store.ts";
import { until } from "../../cluster/until.ts";
import { ConfigConsumer } from "../config-consumer.ts";
import { lastMessages, liveOperators, storeState, streamState } from "./stream-and-store.ts";
import { TappedBus } from "./tapped-bus.ts";

/** Impatient, and comparing the stream only after a refill or a conflict. */
export const QUICK: RelayTimes = {
  poll: 20,
  stall: 200,
  reconcile: 3_600_000,
  reconcileSoon: 50,
  pause: 5,
  longestPause: 20,
};

/** A relay under test. */
export interface StartedRelay {
  readonly relay: Relay;
  /** Its own way to the streams. */
  readonly bus: TappedBus;
  readonly log: readonly { readonly level: number; readonly msg: string }[];
}

/** A store that relays follow, on one bus, until the test ends. */
export function useRelayedStore() {
  const followed = useFollowedStore();
  let streams = new InProcessBus();
  let open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.reverse()) await one.close();
    open = [];
    await streams.close();
    streams = new InProcessBus();
  });
  return {
    get store(): TestStore {
      return followed.store;
    },
    get streams(): InProcessBus {
      return streams;
    },
    /** Takes other streams for all that are started from now on. */
    exchangeStreams(): InProcessBus {
      streams = new InProcessBus();
      return streams;
    },
    async relay(options: Partial<RelayOptions> = {}): Promise<StartedRelay> {
      const { catalog } = options.catalog === undefined ? await followed.follow() : { catalog: options.catalog };
      const bus = new TappedBus(streams);
      const log: { level: number; msg: string }[] = [];
      const logger: Logger = pino({ level: "info" }, { write: (line) => void log.push(JSON.parse(line) as never) });
      const { database } = followed.store;
      const relay = Relay.start({ database, bus, catalog, logger, times: QUICK, ...options });
      open.push(relay);
      return { relay, bus, log };
    },
    consumer(durable = "consumer"): ConfigConsumer {
      const { db } = followed.store.database;
      const read = async (id: string): Promise<Uint8Array | undefined> => {
        const hex = (await liveOperators(db))[id];
        return hex === undefined ? undefined : new Uint8Array(Buffer.from(hex, "hex"));
      };
      const consumer = ConfigConsumer.start(streams, durable, read);
      open.push(consumer);
      return consumer;
    },
    /** Resolves when the stream's last words are what the database holds. */
    async told(): Promise<void> {
      const { db } = followed.store.database;
      const patience = 10_000;
      await until(
        "the stream says what the database does",
        async () => JSON.stringify(sorted(await streamState(streams))) === JSON.stringify(sorted(await storeState(db))),
        patience,
      );
    },
    /** Resolves when the consumer takes for existing what the database holds. */
    async heard(consumer: ConfigConsumer): Promise<void> {
      await until("the consumer knows what the database holds", async () => {
        const known = Object.fromEntries(
          [...consumer.operators].map(([id, b]) => [id, Buffer.from(b).toString("hex")]),
        );
        const held = await liveOperators(followed.store.database.db);
        return JSON.stringify(sorted(known)) === JSON.stringify(sorted(held));
      });
    },
    lastMessages: () => lastMessages(streams),
  };
}

/** A database whose lock somebody else holds. */
export function lockedBySomebody(database: OpenDatabase): OpenDatabase {
  return { ...database, tryLock: () => Promise.resolve(undefined) };
}

/** A catalog that only says where it is: for relays that must be woken by their poll alone. */
export type RelayCatalog = Pick<Catalog, "loaded" | "position" | "staleSince" | "subscribe">;

function sorted(record: Record<string, string>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
