import { adminWriter, type AdminWriter } from "./admin-writer.ts";
import { BARE_PATHS } from "./bare-paths.ts";
import { startBareServer } from "./bare-process.ts";
import type { Figure } from "./figure.ts";
import { call, openSessions } from "./grpc-client.ts";
import { frameOf } from "./grpc-frames.ts";
import { ROUNDS, type Scene } from "./scene.ts";
import { median } from "./statistics.ts";
import { openWatches, WATCH_OPERATORS, type Arrivals, type WatchStreams } from "./watch-streams.ts";

const STREAMS = 1_000;
const SINGLES = 10;
const WRITERS = 4;
/** Changes as fast as the writers can: while a thousand frames are written, more writers would only wait for the database until they give up. */
const BURST = 16;

/** Has this many changes sent to every watch. */
type Trigger = (changes: number) => Promise<unknown>;

/** One change, and many at once, on a thousand watches. */
export async function fanOut({ pod, editors, changeBytes, say }: Scene): Promise<Figure[]> {
  const change = frameOf(Buffer.alloc(changeBytes)).toString("base64");
  const first = frameOf(Buffer.alloc(100)).toString("base64");
  const bare = await startBareServer({ unary: first, first, change });
  const writers = Array.from({ length: WRITERS }, (_, n) =>
    adminWriter(pod.service.url, editors[n % editors.length] ?? "", n),
  );
  const trigger: Trigger = async (changes) => {
    let left = changes;
    const write = async (writer: AdminWriter): Promise<void> => {
      while (left-- > 0) await writer.update();
    };
    await Promise.all(writers.map(write));
  };
  const service = { single: [] as number[], burst: [] as number[] };
  const baseline = { single: [] as number[], burst: [] as number[] };
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      await measure(pod.service.url, WATCH_OPERATORS, trigger, service);
      const [session] = await openSessions(bare.url, 1);
      if (session === undefined) throw new Error("no session");
      await measure(bare.url, BARE_PATHS.watch, (changes) => call(session, BARE_PATHS.push, pushOf(changes)), baseline);
      session.destroy();
      const text = ({ single, burst }: typeof service): string =>
        `${median(single).toFixed(1)} ms, ${burst.at(-1)?.toFixed(0)}/s`;
      say(`round ${round}: service ${text(service)}, bare ${text(baseline)}`);
    }
  } finally {
    for (const writer of writers) writer.close();
    await bare.stop();
  }
  const how = `bare node:http2 writing the same ${changeBytes} bytes to the same ${STREAMS} streams`;
  return [
    {
      what: `one change to ${STREAMS} watches, first to last arrival`,
      unit: "ms",
      more: false,
      service: median(service.single),
      baseline: median(baseline.single),
      how: `${how}; changes one by one`,
    },
    {
      what: `deliveries to ${STREAMS} watches`,
      unit: "/s",
      more: true,
      service: median(service.burst),
      baseline: median(baseline.burst),
      how: `${how}; ${BURST} changes by ${WRITERS} writers, from the first to the last arrival, the commits between them included`,
    },
  ];
}

async function measure(
  url: string,
  path: string,
  trigger: Trigger,
  into: { single: number[]; burst: number[] },
): Promise<void> {
  const watches = await openWatches(url, path, STREAMS);
  try {
    for (let n = 0; n < SINGLES; n++) {
      const { first, last } = await arrivalsOf(watches, trigger, 1);
      into.single.push(last - first);
    }
    const { first, last } = await arrivalsOf(watches, trigger, BURST);
    into.burst.push((STREAMS * BURST * 1_000) / (last - first));
  } finally {
    watches.close();
  }
}

async function arrivalsOf(watches: WatchStreams, trigger: Trigger, changes: number): Promise<Arrivals> {
  const arrivals = watches.next(changes);
  await Promise.all([trigger(changes), arrivals]);
  return arrivals;
}

function pushOf(changes: number): Buffer {
  const message = Buffer.alloc(4);
  message.writeUInt32BE(changes);
  return frameOf(message);
}
