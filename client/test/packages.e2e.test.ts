import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, snapshot, token, untilGone } from "./harness/frames.ts";
import { startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

const program = `
import { OperatorCatalog, Secret, decodeToken } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
const client = createMeshClient({ baseUrl: process.argv[2] ?? "" });
const catalog = await OperatorCatalog.start({ client });
const revision: bigint | undefined = decodeToken(catalog.status.token)?.revision;
console.log(catalog.connections().map((each) => each.operatorId), revision, String(new Secret("x")));
await catalog.close();
`;

const tsconfig = {
  compilerOptions: {
    module: "nodenext",
    target: "es2024",
    lib: ["es2024", "esnext.disposable"],
    types: ["node"],
    strict: true,
    skipLibCheck: true,
  },
  include: ["main.ts"],
};

describe("the published packages", () => {
  it("work when they are packed and installed into an empty folder, types included", async () => {
    const folder = await mkdtemp(join(tmpdir(), "packages-"));
    closing({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
    await execute("npm", ["run", "build", "-w", "client"], { cwd: root });
    const packed = await execute("npm", ["pack", "--json", "-w", "gen", "-w", "client", "--pack-destination", folder], {
      cwd: root,
    });
    const tarballs = (JSON.parse(packed.stdout) as { filename: string }[]).map((each) => `./${each.filename}`);
    expect(tarballs).toHaveLength(2);
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    await execute("npm", ["install", ...quiet, ...tarballs, "@types/node@22"], { cwd: folder });
    await writeFile(join(folder, "main.ts"), program);
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
    await execute(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder]);

    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("alpha")], token(4));
            await untilGone(signal);
          },
        ],
      }),
    );
    const { stdout } = await execute(process.execPath, [join(folder, "main.js"), server.baseUrl]);
    expect(stdout).toBe("[ 'alpha' ] 4n [redacted]\n");
  });
});
