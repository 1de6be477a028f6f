import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Code } from "@connectrpc/connect";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import { describe, expect, it } from "vitest";
import { startAdminServer } from "./harness/admin-server.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, removals, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer, type WatchCall } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
const program = (name: string): URL => new URL(`readme/${name}.ts`, import.meta.url);

describe("the README's code", () => {
  it("is the programs that are type-checked and run here", async () => {
    const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]);
    const programs = ["connector", "health", "router", "admin"].map((name) => readFile(program(name), "utf8"));
    expect(blocks).toEqual(await Promise.all(programs));
  });

  it("binds, follows and reports as a connector, and ends", async () => {
    const applied: string[] = [];
    const reported = Promise.withResolvers<void>();
    const credential = { active: { id: "c1" } };
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("acme", 1, { connections: { main: { credential } } })], token(1));
            await reported.promise;
            yield upserts([operator("acme", 1, { connections: { main: { credential, systemId: "b" } } })], token(2));
            yield removals(["acme"], token(3));
            await untilGone(signal);
          },
        ],
        mesh: {
          getConnectionCredential: async () => {
            reported.resolve();
            return { secret: { credentialId: "c1", systemId: "acme01", password: "pw" } };
          },
          reportNodeStatus: async ({ appliedToken }) => {
            applied.push(appliedToken);
            return {};
          },
        },
      }),
    );
    expect(await run(program("connector"), server.baseUrl)).toBe(
      [
        "bind acme/main as acme01, password [redacted]",
        "acme/main changed system_id: bind again",
        "acme/ removed ",
        "acme/main removed ",
        "",
      ].join("\n"),
    );
    expect(applied.at(-1)).toBe(token(3));
  });

  it("reports how links are, and ends", async () => {
    const reports: HealthReport[] = [];
    const server = closing(
      await startMeshServer({
        watches: [served],
        mesh: {
          reportHealth: async (request) => {
            reports.push(...request.reports);
            return {};
          },
        },
      }),
    );
    expect(await run(program("health"), server.baseUrl)).toBe("");
    expect(reports.at(-1)).toMatchObject({
      operatorUid: "uid-acme",
      connectionId: "main",
      leaving: true,
      appliedToken: token(1),
      quality: { segments: { throttled: 1 }, throttledRate: 5 },
    });
  });

  it("routes, without the service too", async () => {
    const folder = await mkdtemp(join(tmpdir(), "readme-"));
    closing({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
    const server = closing(
      await startMeshServer({
        watches: [served],
        mesh: {
          async *watchHealth(_, { signal }) {
            yield { initialComplete: true };
            await untilGone(signal);
          },
        },
      }),
    );
    const expected = /^over acme\/main\n1\. acme\/main: /;
    expect(await run(program("router"), server.baseUrl, folder)).toMatch(expected);
    await server.close();
    expect(await run(program("router"), server.baseUrl, folder)).toMatch(expected);
  });

  it("creates as an admin, and says what is wrong", async () => {
    const folder = await mkdtemp(join(tmpdir(), "readme-"));
    closing({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
    await mkdir(join(folder, ".data"));
    await writeFile(join(folder, ".data/admin-token"), "secret-token\n");
    const refusals = [
      serviceError(Code.InvalidArgument, "FIELD_INVALID", { field: "operator.display_name" }),
      serviceError(Code.AlreadyExists, "OPERATOR_EXISTS"),
    ];
    const server = closing(
      await startAdminServer({
        async createOperator({ operatorId }, { requestHeader }) {
          expect(requestHeader.get("authorization")).toBe("Bearer secret-token");
          const refusal = refusals.pop();
          if (refusal !== undefined) throw refusal;
          return { token: `token-of-${operatorId}` };
        },
      }),
    );
    expect(await run(program("admin"), server.baseUrl, folder)).toBe("there is one already\n");
    expect(await run(program("admin"), server.baseUrl, folder)).toBe("operator.display_name: is wrong\n");
    expect(await run(program("admin"), server.baseUrl, folder)).toBe("created at token-of-acme\n");
  });
});

/** One link to 26201 that may be used. */
async function* served({ signal }: WatchCall) {
  const state = { adminState: AdminState.ENABLED, effectiveState: AdminState.ENABLED };
  const main = {
    ...state,
    coverage: [{ kind: { case: "mccmnc" as const, value: "26201" } }],
    credential: { active: { id: "c1" } },
    capabilities: { receipts: true },
  };
  yield* snapshot([operator("acme", 1, { adminState: AdminState.ENABLED, connections: { main } })], token(1));
  await untilGone(signal);
}

async function run(file: URL, baseUrl: string, cwd?: string): Promise<string> {
  const args = ["--conditions=source", fileURLToPath(file)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { OPS_URL: baseUrl }, cwd });
  return stdout;
}
