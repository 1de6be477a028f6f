import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient, type Client } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import type { HealthView } from "@operator-management/client";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { resolveRoutesHandlers } from "../../src/routes/handlers.ts";
import { RouteTable } from "../../src/routes/route-table.ts";

/** What the routes of a test depend on besides the catalog; may be exchanged between calls. */
export interface Surroundings {
  health: HealthView;
  now: Date;
}

/** The handlers of routes on a real socket, and gRPC clients of them. */
export interface RoutesServer extends AsyncDisposable {
  readonly routes: RouteTable;
  readonly surroundings: Surroundings;
  readonly mesh: Client<typeof OperatorService>;
  readonly admin: Client<typeof OperatorAdminService>;
}

export async function startRoutesServer(catalog: Catalog): Promise<RoutesServer> {
  const routes = new RouteTable(catalog);
  const surroundings: Surroundings = { health: { of: () => undefined }, now: new Date() };
  const health: HealthView = { of: (...link) => surroundings.health.of(...link) };
  const handlers = resolveRoutesHandlers({ catalog, routes, health, now: () => surroundings.now });
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(OperatorService, handlers.mesh);
      router.service(OperatorAdminService, handlers.admin);
    },
  });
  const server = createServer((request, response) => handler(request, response));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => void sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  return {
    routes,
    surroundings,
    mesh: createClient(OperatorService, transport),
    admin: createClient(OperatorAdminService, transport),
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
      await routes.close();
    },
  };
}
