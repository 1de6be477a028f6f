// A program that starts everything there is and then simply ends: nothing of it may keep the process alive.
import { Credentials, NodeReporter, OperatorCatalog } from "../../src/index.ts";
import { createMeshClient } from "../../src/node.ts";

const [baseUrl = ""] = process.argv.slice(2);
const client = createMeshClient({ baseUrl });
const catalog = await OperatorCatalog.start({ client });
const reporter = NodeReporter.start({ client, node: { name: "node-1" } });
const changes = catalog.changes();
void changes.next();
reporter.applied(catalog.status.token);
await new Credentials({ client, catalog }).candidates("alpha/main");
console.log(`ready with ${catalog.connections().length}`);
