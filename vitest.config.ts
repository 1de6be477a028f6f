import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

const full = ["test/e2e/**/*.test.ts", "**/*.e2e.test.ts"];
const servers = ["test/**/*.servers.test.ts"];
const ignored = ["**/node_modules/**", "**/dist/**", ".data/**"];

export default defineConfig({
  ssr: { resolve: { conditions: ["source", ...defaultServerConditions] } },
  test: {
    pool: "forks",
    execArgv: ["--conditions=source"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    projects: [
      {
        // Within one process tree, on any machine with Node.
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts", "client/test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: [...ignored, ...full, ...servers],
          // By default one core is left alone, and two cores are what most machines that run this have.
          maxWorkers: "100%",
          globalSetup: ["test/harness/prepared-postgres.ts"],
        },
      },
      {
        // Quick tests on a real server that they start (scripts/install-servers.mjs provides it).
        extends: true,
        test: {
          name: "servers",
          include: servers,
          exclude: ignored,
          setupFiles: ["test/cluster/vitest-setup.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Starts, kills and restarts whole services: after the others. Most of their time is waiting, so two files run at a time.
        extends: true,
        test: {
          name: "full",
          include: full,
          exclude: ignored,
          setupFiles: ["test/cluster/vitest-setup.ts"],
          globalSetup: ["test/harness/prepared-postgres.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
