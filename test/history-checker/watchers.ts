import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createMeshClient, OperatorCatalog } from "@operator-management/client";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Watcher } from "./observation.ts";
import type { Random } from "./random.ts";
import { positionOf, recordWatch } from "./record-watch.ts";
import { TEAMS } from "./writers.ts";

/** A watcher at work. */
export interface RunningWatcher {
  /** Resolves once it has received everything up to the revision, then ends it. */
  finishAt(revision: number): Promise<Watcher>;
  /** How often it was cut off on purpose or read nothing for a while. */
  readonly faults: () => number;
}

const BOOKMARKS = { seconds: 1n, nanos: 0 };
const PATIENCE_MS = 60_000;
/** A server that says nothing for this long is taken for gone: three bookmarks, as in the SDK. */
const SILENCE_MS = 3_000;

function filterOf(random: Random): { filter: string; matches: Watcher["matches"] } {
  const team = random.pick([undefined, ...TEAMS]);
  if (team === undefined) return { filter: "", matches: () => true };
  return { filter: `labels.team = ${team}`, matches: ({ labels }) => labels.team === team };
}

/** One transport over several processes of the service: every call goes to one of them, at random. */
function transportTo(
  baseUrls: readonly string[],
  random: Random,
  interceptor: (server: string) => Interceptor,
): Transport {
  const transports = baseUrls.map((baseUrl) => createGrpcTransport({ baseUrl, interceptors: [interceptor(baseUrl)] }));
  return {
    unary: (...call) => random.pick(transports).unary(...call),
    stream: (...call) => random.pick(transports).stream(...call),
  };
}

/** A watcher on bare gRPC that is cut off at random, gets stuck at random, and resumes with its last token, at any of the servers. */
export function startRawWatcher(name: string, baseUrls: readonly string[], random: Random): RunningWatcher {
  const { filter, matches } = filterOf(random);
  const recording = recordWatch();
  const client = createClient(OperatorService, transportTo(baseUrls, random, recording.interceptor));
  const stop = new AbortController();
  const progress = new EventTarget();
  let token = "";
  let faults = 0;
  let calm = false;
  const oneStream = async (): Promise<void> => {
    const cut = new AbortController();
    const signal = AbortSignal.any([stop.signal, cut.signal]);
    const messagesUntilCut = random.integer(1, 60);
    let seen = 0;
    const request = { filter, startToken: token, initialSnapshot: token === "", bookmarkInterval: BOOKMARKS };
    const silence = setTimeout(() => cut.abort(), SILENCE_MS);
    try {
      for await (const { message } of client.watchOperators(request, { signal })) {
        silence.refresh();
        if (message.value !== undefined && message.value.token !== "") {
          // A snapshot counts only when it is complete.
          token = message.value.token;
          progress.dispatchEvent(new Event("token"));
        }
        if (calm || ++seen < messagesUntilCut) continue;
        faults++;
        if (random.next() < 0.5)
          await delay(random.integer(20, 400)); // a stuck reader: flow control stops the server
        else cut.abort();
      }
    } finally {
      clearTimeout(silence);
    }
  };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await oneStream();
      } catch (error) {
        const { code } = ConnectError.from(error);
        if (code === Code.OutOfRange) token = "";
        else if (code === Code.InvalidArgument || code === Code.PermissionDenied) throw error;
        if (!stop.signal.aborted) await delay(random.integer(10, 100));
      }
    }
  };
  const running = run();
  return {
    faults: () => faults,
    finishAt: async (revision) => {
      calm = true;
      while (token === "" || positionOf(token).revision < revision) {
        await once(progress, "token", { signal: AbortSignal.timeout(PATIENCE_MS) });
      }
      stop.abort();
      await running;
      return { name, matches, streams: recording.streams };
    },
  };
}

/** A watcher through the SDK, which is cut off by nobody but a server's death: reconnecting, at any of the servers, is the SDK's own work. */
export async function startCatalogWatcher(
  name: string,
  baseUrls: readonly string[],
  random: Random,
): Promise<RunningWatcher & { readonly catalog: OperatorCatalog }> {
  const { filter, matches } = filterOf(random);
  const recording = recordWatch();
  const client = createMeshClient({ transport: transportTo(baseUrls, random, recording.interceptor) });
  const catalog = await OperatorCatalog.start({ client, filter, bookmarkIntervalMs: 1_000 });
  return {
    catalog,
    faults: () => 0,
    finishAt: async (revision) => {
      const reached = (): boolean =>
        catalog.status.token !== undefined && positionOf(catalog.status.token).revision >= revision;
      const giveUp = Date.now() + PATIENCE_MS;
      while (!reached()) {
        if (Date.now() > giveUp) throw new Error(`${name} stands at ${catalog.status.token}, not at ${revision}`);
        await delay(20);
      }
      await catalog.close();
      return { name, matches, streams: recording.streams };
    },
  };
}
