import { join } from "node:path";
import type { ClosingStack } from "../../src/closing-stack.ts";
import { freePort } from "../harness/free-port.ts";
import { opened } from "./opened.ts";
import { startServer } from "./server-process.ts";
import { findServer } from "./servers.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** Ways to servers, each of which can be hurt by itself: toxiproxy. */
export interface Links extends AsyncDisposable {
  to(host: string, port: number): Promise<Link>;
}

/** One way, from a port of 127.0.0.1 to a server. It knows no half-closed connections: who ends one side ends both. */
export interface Link {
  readonly port: number;
  /** Refuses new connections and ends the open ones, as the death of the server would. */
  cut(): Promise<void>;
  /** Takes new connections and keeps the open ones, but drops every byte, both ways. They are closed by `heal`, as bytes are missing. */
  blackHole(): Promise<void>;
  /** Every answer takes this many milliseconds longer. */
  slow(ms: number): Promise<void>;
  /** Leads to another port of 127.0.0.1 from now on; open connections are closed. */
  retarget(port: number): Promise<void>;
  /** As good as new; a retargeted one keeps its target. */
  heal(): Promise<void>;
}

export function startLinks(): Promise<Links> {
  return opened((closing) => start(closing));
}

async function start(closing: ClosingStack): Promise<Omit<Links, typeof Symbol.asyncDispose>> {
  const folder = await temporaryFolder("links");
  closing.push("folder", folder.remove);
  const apiPort = await freePort();
  const api = `http://127.0.0.1:${apiPort}`;
  const server = await startServer({
    name: "toxiproxy",
    command: findServer("toxiproxy-server"),
    args: ["-host", "127.0.0.1", "-port", String(apiPort)],
    env: { LOG_LEVEL: "warn" },
    logFile: join(folder.path, "toxiproxy.log"),
    answers: async () => (await fetch(`${api}/version`)).ok,
  });
  closing.push("toxiproxy", () => server.kill());
  return {
    to: async (host, port) => {
      const own = await freePort();
      const proxy = { name: `link-${own}`, listen: `127.0.0.1:${own}`, upstream: `${host}:${port}`, enabled: true };
      await call("POST", `${api}/proxies`, proxy);
      return link(`${api}/proxies/${proxy.name}`, own);
    },
  };
}

const BOTH_WAYS = ["upstream", "downstream"] as const;

function link(url: string, port: number): Link {
  const set = (change: { enabled: boolean } | { upstream: string }): Promise<unknown> => call("PATCH", url, change);
  const add = (
    type: string,
    stream: (typeof BOTH_WAYS)[number],
    attributes: Record<string, number>,
  ): Promise<unknown> => call("POST", `${url}/toxics`, { name: `${type}-${stream}`, type, stream, attributes });
  const heal = async (): Promise<void> => {
    const toxics = (await call("GET", `${url}/toxics`)) as { name: string }[];
    for (const { name } of toxics) await call("DELETE", `${url}/toxics/${name}`);
    await set({ enabled: true });
  };
  return {
    port,
    heal,
    cut: async () => {
      await heal();
      await set({ enabled: false });
    },
    blackHole: async () => {
      await heal();
      for (const stream of BOTH_WAYS) await add("timeout", stream, { timeout: 0 });
    },
    slow: async (ms) => {
      await heal();
      await add("latency", "downstream", { latency: ms });
    },
    retarget: async (to) => void (await set({ upstream: `127.0.0.1:${to}` })),
  };
}

const PATIENCE_MS = 30_000;
/** What a request that is repeated is answered when the first one was done after all. */
const DONE_BEFORE: Readonly<Record<string, number>> = { DELETE: 404, POST: 409 };

/** toxiproxy answers 503 when something takes 5 s (e.g. a toxic whose last bytes nobody reads), and goes on with it: then it is asked again. */
async function call(method: string, url: string, body?: unknown): Promise<unknown> {
  const end = Date.now() + PATIENCE_MS;
  for (let isAgain = false; ; isAgain = true) {
    const response = await fetch(url, { method, body: body === undefined ? null : JSON.stringify(body) });
    const text = await response.text();
    if (response.ok) return text === "" ? undefined : JSON.parse(text);
    if (isAgain && response.status === DONE_BEFORE[method]) return undefined;
    if (response.status !== 503 || Date.now() > end) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  }
}
