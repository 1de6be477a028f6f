import { vi } from "vitest";
import { openPostgresStore } from "./postgres-store.ts";

// The tests of test/history/verify.test.ts once more, on PostgreSQL.
vi.mock("../history/store.ts", async (original) => ({
  ...(await original()),
  openTestStore: () => openPostgresStore("owner"),
}));
await import("../history/verify.test.ts");
