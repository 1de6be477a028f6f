// A process that dies of the message "deadly", and fails at "failing" in good order: `node deadly-consumer.ts <JSON of ConsumerSettings>`.
import { pino } from "pino";
import { openJetStreamBus } from "../../src/backends/bus/jetstream-bus.ts";
import { text } from "./message-text.ts";

/** Where its server is, and how soon what nobody finishes comes again. */
export interface ConsumerSettings {
  readonly servers: readonly string[];
  readonly user: string;
  readonly password: string;
  readonly ackWaitMs: number;
}

const { servers, user, password, ackWaitMs } = JSON.parse(process.argv[2]!) as ConsumerSettings;
const bus = openJetStreamBus({
  servers,
  user,
  password: { get: () => Promise.resolve(password), forget: () => undefined },
  replicas: 1,
  streams: "ensure",
  logger: pino({ level: "silent" }),
  ackWaitMs,
});
bus.consume({ stream: "OPS_AUDIT", durable: "writer" }, async (message) => {
  process.stdout.write(`${text(message)}\n`);
  if (text(message) === "deadly") process.kill(process.pid, "SIGKILL");
});
