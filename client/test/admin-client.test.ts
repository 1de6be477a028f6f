import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { afterEach, describe, expect, it } from "vitest";
import { createAdminClient } from "../src/node.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** An admin service over HTTP/1.1 at its prefix that answers with the bearer token it got. */
async function startAdmin(): Promise<{ baseUrl: string; seen: (string | null)[] }> {
  const seen: (string | null)[] = [];
  const server: Server = createServer(
    connectNodeAdapter({
      requestPathPrefix: "/v1/admin/operators",
      routes: (router) => {
        router.service(OperatorAdminService, {
          getOperator: async (_request, context) => {
            seen.push(context.requestHeader.get("authorization"));
            return {};
          },
        });
      },
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

describe("the admin client", () => {
  it("calls under the prefix with the token, whether the address ends in a slash or not", async () => {
    const { baseUrl, seen } = await startAdmin();
    await createAdminClient({ baseUrl, token: "t0" }).getOperator({ operatorId: "acme" });
    await createAdminClient({ baseUrl: `${baseUrl}/`, token: () => Promise.resolve("t1") }).getOperator({});
    await createAdminClient({ baseUrl }).getOperator({});
    expect(seen).toEqual(["Bearer t0", "Bearer t1", null]);
  });

  it("reads a token file at each call, so that a rotated token is used at once", async () => {
    const folder = await mkdtemp(join(tmpdir(), "admin-client-"));
    cleanups.push(() => rm(folder, { recursive: true }));
    const tokenFile = join(folder, "token");
    const { baseUrl, seen } = await startAdmin();
    const admin = createAdminClient({ baseUrl, tokenFile });
    await expect(admin.getOperator({})).rejects.toMatchObject({
      code: Code.Unauthenticated,
      rawMessage: `the token file ${tokenFile} can't be read: ENOENT`,
    });
    await writeFile(tokenFile, "first\n");
    await admin.getOperator({});
    await writeFile(tokenFile, "second");
    await admin.getOperator({});
    expect(seen).toEqual(["Bearer first", "Bearer second"]);
  });

  it("quotes no token that can't be one", async () => {
    const { baseUrl } = await startAdmin();
    for (const token of ["", "two\nlines", "geheim-ü"]) {
      const error: unknown = await createAdminClient({ baseUrl, token })
        .getOperator({})
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: Code.Unauthenticated });
      expect(String(error)).not.toMatch(/two|geheim/);
    }
  });
});
