import { vi } from "vitest";
import { openPostgresStore } from "./postgres-store.ts";

// The tests of test/history/commit.test.ts once more, on PostgreSQL.
vi.mock("../history/store.ts", async (original) => ({ ...(await original()), openTestStore: openPostgresStore }));
await import("../history/commit.test.ts");
