import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, snapshot, token, untilGone } from "./harness/frames.ts";
import { startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const program = fileURLToPath(new URL("harness/start-and-end.ts", import.meta.url));

it("a process whose program ends exits, although its catalog still watches", async () => {
  const server = closing(
    await startMeshServer({
      watches: [
        async function* ({ signal }) {
          yield* snapshot([operator("alpha")], token(1));
          await untilGone(signal);
        },
      ],
      mesh: { reportNodeStatus: async () => ({}) },
    }),
  );
  const child = spawn(process.execPath, ["--conditions=source", program, server.baseUrl], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output: string[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk.toString()));
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(output.join("")).toBe("ready with 1\n");
});
