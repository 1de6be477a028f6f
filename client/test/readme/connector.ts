import { Credentials, NodeReporter, OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";

const client = createMeshClient({ baseUrl: process.env["OPS_URL"] ?? "http://127.0.0.1:3020" });
const catalog = await OperatorCatalog.start({ client });
const credentials = new Credentials({ client, catalog });
const reporter = NodeReporter.start({ client, node: { name: "node-1" } });

// First the changes, then the state: so nothing falls between the two.
const changes = catalog.changes();
for (const ref of catalog.connections()) {
  for (const { id, systemId, password } of await credentials.candidates(ref)) {
    if (!credentials.mayTry(ref, id)) continue;
    console.log(`bind ${ref.operatorId}/${ref.connectionId} as ${systemId}, password`, password);
    // password.reveal() goes into the bind; after it reportAccepted, reportRejected or reportAbandoned.
    credentials.reportAccepted(ref, id);
  }
}
reporter.applied(catalog.status.token);

for await (const { token, events } of changes) {
  for (const { ref, kind, fields, rebind } of events) {
    console.log(
      `${ref.operatorId}/${ref.connectionId ?? ""} ${kind} ${fields.join(", ")}${rebind ? ": bind again" : ""}`,
    );
  }
  reporter.applied(token);
  reporter.reportNow();
  if (events.some((event) => event.kind === "removed")) break; // a real connector goes on
}
await reporter.close();
await catalog.close();
