import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";

/** What the probes ask. Liveness depends on nothing but this process answering. */
export interface Probes {
  /** True once the process listens. */
  readonly started: () => boolean;
  /** True after one full catalog load, until shutdown begins: a shared dependency must never empty the Kubernetes Service. */
  readonly ready: () => boolean;
}

/** The second, internal port: `/metrics`, `/livez`, `/readyz`, `/startupz` over HTTP/1. */
export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts the metrics port. @throws the listen error, e.g. EADDRINUSE */
export async function startMetricsServer(
  address: { readonly host: string; readonly port: number },
  registry: Registry,
  probes: Probes,
): Promise<MetricsServer> {
  const answer = (ok: boolean, text: string): [number, string, string] => [ok ? 200 : 503, "text/plain", `${text}\n`];
  const pages: Record<string, () => [number, string, string] | Promise<[number, string, string]>> = {
    "/metrics": async () => [200, registry.contentType, await registry.metrics()],
    "/livez": () => answer(true, "alive"),
    "/startupz": () => (probes.started() ? answer(true, "started") : answer(false, "starting")),
    "/readyz": () => (probes.ready() ? answer(true, "ready") : answer(false, "not ready")),
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    const isRead = request.method === "GET" || request.method === "HEAD";
    const render = async (): Promise<[number, string, string]> => {
      if (page === undefined) return [404, "text/plain", `not found; there are ${Object.keys(pages).join(", ")}\n`];
      if (!isRead) return [405, "text/plain", "only GET and HEAD\n"];
      return page();
    };
    render().then(
      ([status, type, body]) => {
        response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
        response.end(request.method === "HEAD" ? undefined : body);
      },
      () => response.writeHead(500).end("the metrics could not be collected\n"),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}
