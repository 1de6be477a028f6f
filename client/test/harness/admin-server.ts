import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";

/** An admin service over HTTP/1.1 under its prefix, whose answers a test writes. */
export async function startAdminServer(
  admin: Partial<ServiceImpl<typeof OperatorAdminService>>,
): Promise<AsyncDisposable & { readonly baseUrl: string }> {
  const server = createServer(
    connectNodeAdapter({
      requestPathPrefix: "/v1/admin/operators",
      routes: (router) => {
        router.service(OperatorAdminService, admin);
      },
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
