import { connect, type JetStreamManager } from "nats";
import type { Bus } from "../../src/backends/bus/bus.ts";
import { openJetStreamBus, type JetStreamBusOptions } from "../../src/backends/bus/jetstream-bus.ts";
import type { Nats } from "../cluster/nats.ts";
import { until } from "../cluster/until.ts";

/** A line of a bus's log. */
export interface Line {
  readonly level: "info" | "warn" | "error";
  readonly text: string;
  readonly details: object;
}

/** A logger that keeps its lines. */
export function keptLog(): { readonly lines: Line[]; readonly logger: JetStreamBusOptions["logger"] } {
  const lines: Line[] = [];
  const keep =
    (level: Line["level"]) =>
    (details: object, text: string): void =>
      void lines.push({ level, text, details });
  return { lines, logger: { info: keep("info"), warn: keep("warn"), error: keep("error") } as never };
}

/** A bus on the servers, or on links to them; it need not be connected yet. */
export function jetStreamBus(nats: Nats, options: Partial<JetStreamBusOptions> = {}): Bus {
  return openJetStreamBus({
    servers: nats.servers,
    user: nats.user,
    password: { get: () => Promise.resolve(nats.password), forget: () => undefined },
    replicas: nats.nodes.length,
    streams: "ensure",
    pauses: { firstMs: 50, maxMs: 200 },
    logger: keptLog().logger,
    ...options,
  });
}

export const connected = (bus: Bus): Promise<void> => until("the bus is connected", () => bus.connected);

/** Looks at the servers, or changes something behind the bus's back. */
export async function asAdmin<T>(nats: Nats, work: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: [...nats.servers], user: nats.user, pass: nats.password });
  try {
    return await work(await connection.jetstreamManager());
  } finally {
    await connection.close();
  }
}

/** Leaves the servers as new. */
export function removeStreams(nats: Nats): Promise<void> {
  return asAdmin(nats, async (manager) => {
    for (const { config } of await manager.streams.list().next()) await manager.streams.delete(config.name);
    const left = await manager.streams.list().next();
    if (left.length > 0) throw new Error(`still there: ${left.map(({ config }) => config.name).join(", ")}`);
  });
}
