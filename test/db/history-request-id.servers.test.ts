import { vi } from "vitest";
import { openPostgresStore } from "./postgres-store.ts";

// The tests of test/history/request-id.test.ts once more, on PostgreSQL.
vi.mock("../history/store.ts", async (original) => ({ ...(await original()), openTestStore: openPostgresStore }));
await import("../history/request-id.test.ts");
