import type { Bus } from "../../../src/backends/bus/bus.ts";
import type { Database } from "../../../src/db/db.ts";
import { connected, jetStreamBus } from "../../backends/jetstream-buses.ts";
import type { TestStore } from "../../catalog/support/test-store.ts";
import type { Nats } from "../../cluster/nats.ts";
import { until } from "../../cluster/until.ts";
import { ConfigConsumer } from "../config-consumer.ts";
import { liveOperators, storeState, streamState } from "./stream-and-store.ts";

const WRITERS = 16;
const PATIENCE_MS = 40_000;

/** Sixteen writers that put, delete and undelete operators of their own and common ones; resolves with the head's revision. */
export async function writeStorm(store: TestStore, rounds: number): Promise<bigint> {
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      const id = `own-${writer}`;
      for (let round = 0; round < rounds; round++) {
        const notes = `${writer} ${round}`;
        await store.commit({ put: id, with: { notes } }, { put: `common-${(writer + round) % 4}`, with: { notes } });
        if (round === 3) await store.commit({ delete: id });
        if (round === 3 && writer % 2 === 0) await store.commit({ purge: id });
        else if (round === 3) await store.commit({ undelete: id });
      }
    }),
  );
  return (await store.head()).revision;
}

/** Resolves when the stream's last words are what the database holds. */
export function told(bus: Bus, db: Database): Promise<void> {
  return until(
    "the stream says what the database does",
    async () => text(await streamState(bus)) === text(await storeState(db)),
    PATIENCE_MS,
  );
}

/** A reference consumer on a connection of its own. */
export interface StartedConsumer extends AsyncDisposable {
  readonly of: ConfigConsumer;
  /** Resolves when it takes for existing what the database holds. */
  heard(db: Database): Promise<void>;
}

export async function startConsumer(nats: Nats, db: Database): Promise<StartedConsumer> {
  const bus = jetStreamBus(nats);
  await connected(bus);
  const of = ConfigConsumer.start(bus, "reference", async (id) => {
    const hex = (await liveOperators(db))[id];
    return hex === undefined ? undefined : new Uint8Array(Buffer.from(hex, "hex"));
  });
  const known = (): string =>
    text(Object.fromEntries([...of.operators].map(([id, b]) => [id, Buffer.from(b).toString("hex")])));
  return {
    of,
    heard: (other) =>
      until(
        "the consumer knows what the database holds",
        async () => known() === text(await liveOperators(other)),
        PATIENCE_MS,
      ),
    [Symbol.asyncDispose]: async () => {
      await of.close();
      await bus.close();
    },
  };
}

function text(record: Record<string, string>): string {
  return JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
