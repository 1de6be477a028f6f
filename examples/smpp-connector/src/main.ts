import { Credentials, HealthReporter, NodeReporter, OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import { Connector } from "./connector.ts";
import { outcomeWords } from "./outbox.ts";
import { help, parseOptions, UsageError, type Options } from "./options.ts";
import { followCatalog, storyLogger } from "./service-story.ts";
import { startTraffic } from "./traffic.ts";

async function run({ url, node, labels, traffic, reportIntervalMs }: Options): Promise<void> {
  const stopped = signalled();
  tell(node, `starting; the service should be at ${url}`);
  const client = createMeshClient({ baseUrl: url });
  const service = (text: string): void => tell("service", text);
  const logger = storyLogger(service);
  const catalog = await OperatorCatalog.start({ client, logger, ready: { timeoutMs: 1_000, otherwise: "continue" } });
  const unfollow = followCatalog(catalog, service);
  const epoch = BigInt(Date.now());
  const reporter = NodeReporter.start({ client, node: { name: node, epoch, labels }, logger });
  const health = HealthReporter.start({
    client,
    catalog,
    node: { name: node, epoch },
    intervalMs: reportIntervalMs,
    logger,
  });
  const credentials = new Credentials({ client, catalog });
  const connector = new Connector({ catalog, credentials, reporter, health, labels, tell });
  const stopTraffic = traffic ? startTraffic(() => connector.links, tell) : () => undefined;

  await stopped;
  tell(node, "stopping: unbinding everything");
  unfollow();
  stopTraffic();
  reporter.accepting(false);
  const links = [...connector.links];
  await connector.close();
  if (traffic) for (const { key, outbox } of links) tell(key, outcomeWords(outbox));
  await Promise.all([reporter.close(), health.close()]);
  await catalog.close();
  tell(node, "stopped");
}

/** One line: the time, about whom, and what. */
function tell(who: string, text: string): void {
  console.log(`${new Date().toISOString().slice(11, 23)}  ${who.padEnd(24)}  ${text}`);
}

/** Ctrl-C comes twice when npm passes it on: a signal this soon after the first, in milliseconds, is the same one. */
const SAME_SIGNAL = 500;

/** Resolves at the first SIGTERM or SIGINT. A second one ends the process at once. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    // Neither a signal handler nor the SDK keeps a process alive, and a connector without binds has nothing else to do.
    const alive = setInterval(() => undefined, 2 ** 30);
    const stop = (): void => {
      clearInterval(alive);
      resolve();
      setTimeout(() => process.off("SIGTERM", stop).off("SIGINT", stop), SAME_SIGNAL).unref();
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
  });
}

try {
  const options = parseOptions(process.argv.slice(2), process.env);
  if (options.help) console.log(help);
  else await run(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`connector: ${error.message}`);
  process.exitCode = 1;
}
