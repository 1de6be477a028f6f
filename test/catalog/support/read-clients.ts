import { createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { adminReadHandlers } from "../../../src/catalog/admin-read-handlers.ts";
import type { Catalog } from "../../../src/catalog/catalog.ts";
import { meshReadHandlers } from "../../../src/catalog/mesh-read-handlers.ts";
import type { OpenDatabase } from "../../../src/db/db.ts";
import { revisionHandlers } from "../../../src/history/revision-handlers.ts";

/** Clients of the read handlers, over Connect's real encoding but no network. */
export function readClients(
  catalog: Catalog,
  { database, wake = () => undefined }: { readonly database: OpenDatabase; readonly wake?: () => void },
): { admin: Client<typeof OperatorAdminService>; mesh: Client<typeof OperatorService> } {
  const transport = createRouterTransport(
    (router) => {
      const deps = { catalog, database, wake };
      router.service(OperatorAdminService, { ...adminReadHandlers(deps), ...revisionHandlers(deps) });
      router.service(OperatorService, meshReadHandlers({ catalog }));
    },
    { transport: { useBinaryFormat: true } },
  );
  return { admin: createClient(OperatorAdminService, transport), mesh: createClient(OperatorService, transport) };
}
