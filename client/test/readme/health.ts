import { HealthReporter, OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";

const client = createMeshClient({ baseUrl: process.env["OPS_URL"] ?? "http://127.0.0.1:3020" });
const catalog = await OperatorCatalog.start({ client });
const health = HealthReporter.start({ client, catalog, node: { name: "node-1" } });
health.applied(catalog.status.token);

for (const { operatorId, operator, connectionId } of catalog.connections()) {
  const link = health.link({ operatorId, operatorUid: operator.uid, connectionId });
  link.binds([]); // as for NodeReporter; link.bindLost() when one is lost
  const sentAt = link.sent(); // submit_sm goes out
  link.answered(sentAt, 0x58, { receiptAsked: true }); // its command_status, or link.unanswered(); later link.receipt(sentAt, state)
  link.queue(0); // how many wait, and since when
  link.throttled(5); // segments per second kept to; undefined: no longer
}
await health.close();
await catalog.close();
