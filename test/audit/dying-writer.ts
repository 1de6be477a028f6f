// A process that stores audit records and never says that they are done: `node dying-writer.ts <JSON of WriterSettings>`. It prints
// "stored" after the first ones, to be killed then.
import { pino } from "pino";
import { AUDIT_CONSUMER, storeAuditMessage } from "../../src/audit/audit-writer.ts";
import { openJetStreamBus } from "../../src/backends/bus/jetstream-bus.ts";
import { openClusterDatabase } from "../../src/db/cluster-database.ts";

/** Where its servers are. */
export interface WriterSettings {
  readonly postgresUrl: string;
  readonly servers: readonly string[];
  readonly user: string;
  readonly password: string;
}

const settings = JSON.parse(process.argv[2]!) as WriterSettings;
const logger = pino({ level: "warn" }, process.stderr);
const { db } = openClusterDatabase({
  primary: settings.postgresUrl,
  replica: undefined,
  password: undefined,
  logger,
});
const bus = openJetStreamBus({
  servers: settings.servers,
  user: settings.user,
  password: { get: () => Promise.resolve(settings.password), forget: () => undefined },
  replicas: 3,
  streams: "ensure",
  logger,
});
bus.consume(AUDIT_CONSUMER, async (message) => {
  await storeAuditMessage(message, { db, logger });
  process.stdout.write("stored\n");
  await new Promise<never>(() => undefined);
});
