import { vi } from "vitest";
import { openPostgresStore } from "./postgres-store.ts";

// The tests of test/history/revisions.test.ts once more, on PostgreSQL.
vi.mock("../history/store.ts", async (original) => ({ ...(await original()), openTestStore: openPostgresStore }));
await import("../history/revisions.test.ts");
