import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { createAdminClient } from "../src/node.ts";
import { startAdminServer } from "./harness/admin-server.ts";
import { closingAfterEach } from "./harness/closing.ts";

const closing = closingAfterEach();

/** An admin service that notes the authorization it gets. */
async function noting(): Promise<{ baseUrl: string; seen: (string | null)[] }> {
  const seen: (string | null)[] = [];
  const server = closing(
    await startAdminServer({
      getOperator: async (_request, context) => {
        seen.push(context.requestHeader.get("authorization"));
        return {};
      },
    }),
  );
  return { baseUrl: server.baseUrl, seen };
}

describe("the admin client", () => {
  it("calls under the prefix with the token, whether the address ends in a slash or not", async () => {
    const { baseUrl, seen } = await noting();
    await createAdminClient({ baseUrl, token: "t0" }).getOperator({ operatorId: "acme" });
    await createAdminClient({ baseUrl: `${baseUrl}/`, token: () => Promise.resolve("t1") }).getOperator({});
    await createAdminClient({ baseUrl }).getOperator({});
    expect(seen).toEqual(["Bearer t0", "Bearer t1", null]);
  });

  it("reads a token file at each call, so that a rotated token is used at once", async () => {
    const folder = await mkdtemp(join(tmpdir(), "admin-client-"));
    closing({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
    const tokenFile = join(folder, "token");
    const { baseUrl, seen } = await noting();
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
    const { baseUrl } = await noting();
    for (const token of ["", "two\nlines", "geheim-ü"]) {
      const error: unknown = await createAdminClient({ baseUrl, token })
        .getOperator({})
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: Code.Unauthenticated });
      expect(String(error)).not.toMatch(/two|geheim/);
    }
  });
});
