import { setTimeout } from "node:timers/promises";
import { BusUnavailableError, type Bus, type Following } from "../../src/backends/bus/bus.ts";
import { until } from "../cluster/until.ts";
import { bytes, text } from "./message-text.ts";

const SUBJECTS = 20;
const { signal } = new AbortController();

/** Reports that are published all the time, and somebody who follows them. */
export interface FollowTraffic {
  readonly following: Following;
  /** How many messages the follower took. */
  readonly taken: number;
  /** Whether what is published from now on is taken. */
  flows(): Promise<void>;
  /** Stops publishing; resolves with counts once the follower knows of every subject what the stream says last. */
  end(): Promise<FollowCounts>;
}

export interface FollowCounts {
  readonly published: number;
  /** How many publishes the bus refused. */
  readonly refused: number;
  readonly taken: number;
  /** How many of them were older than the one before of their subject. */
  readonly older: number;
  /** The longest time without a publish that succeeded, and without a message taken. */
  readonly silentMs: { readonly publishing: number; readonly follower: number };
}

function pauses(): { over(): void; readonly longestMs: number } {
  let last = Date.now();
  let longestMs = 0;
  return {
    over() {
      longestMs = Math.max(longestMs, Date.now() - last);
      last = Date.now();
    },
    get longestMs() {
      return longestMs;
    },
  };
}

export function startFollowTraffic(link: string, publisher: Bus, follower: Bus): FollowTraffic {
  const subject = `ops.health.v1.uid.${link}.`;
  const last = new Map<string, number>();
  const stored = new Map<string, Date>();
  const stop = new AbortController();
  let published = 0;
  let refused = 0;
  let taken = 0;
  let older = 0;
  const silent = { publishing: pauses(), following: pauses() };
  const following = follower.follow("OPS_HEALTH", (message) => {
    if (!message.subject.startsWith(subject)) return;
    taken++;
    silent.following.over();
    // By the stream's time: what was refused may be stored after what was published next.
    if (message.time < (stored.get(message.subject) ?? message.time)) older++;
    stored.set(message.subject, message.time);
    last.set(message.subject, Number(text(message)));
  });
  const publishAll = async (): Promise<void> => {
    for (let next = 1; !stop.signal.aborted; next++) {
      try {
        await publisher.publish(`${subject}node-${next % SUBJECTS}`, bytes(String(next)), { signal });
        published++;
        silent.publishing.over();
      } catch (error) {
        if (!(error instanceof BusUnavailableError)) throw error;
        refused++;
      }
      await setTimeout(5);
    }
  };
  const ended = publishAll();
  return {
    following,
    get taken() {
      return taken;
    },
    async flows() {
      const before = { published, newest: Math.max(0, ...last.values()) };
      await until("more is published", () => published > before.published + 10, 60_000);
      await until("it is taken", () => Math.max(0, ...last.values()) > before.newest + 5, 60_000);
    },
    async end() {
      stop.abort();
      await ended;
      await until(
        "the follower knows what the stream holds",
        async () => {
          const held = new Map<string, number>();
          const take = (message: { subject: string; data: Uint8Array }) =>
            void held.set(message.subject, Number(text(message)));
          await publisher.lastPerSubject("OPS_HEALTH", take, signal);
          return (
            held.size > 0 && [...held].every(([name, body]) => !name.startsWith(subject) || last.get(name) === body)
          );
        },
        60_000,
      );
      await following.close();
      const [publishing, follower] = [silent.publishing.longestMs, silent.following.longestMs];
      return { published, refused, taken, older, silentMs: { publishing, follower } };
    },
  };
}
