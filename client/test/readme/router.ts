import { HealthFollower, OperatorCatalog, Routes } from "@operator-management/client";
import { createMeshClient, fileSnapshots } from "@operator-management/client/node";

const client = createMeshClient({ baseUrl: process.env["OPS_URL"] ?? "http://127.0.0.1:3020" });
const snapshot = { store: fileSnapshots("catalog.snapshot") };
const catalog = await OperatorCatalog.start({ client, snapshot, ready: { timeoutMs: 2_000 } });
const health = HealthFollower.start({ client });
await health.ready({ timeoutMs: 2_000 });
const routes = new Routes({ catalog, health });

const resolution = routes.resolve({ network: "26201", need: { receipts: true } });
const route = routes.pick(resolution, "message-1");
console.log(route ? `over ${route.operatorId}/${route.connectionId}` : "no route");
for (const line of routes.explain({ network: "26201" }).lines) console.log(line);

await health.close();
await catalog.close();
