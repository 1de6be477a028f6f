import type { JetStreamClient, JetStreamManager, NatsConnection } from "nats";

/** Milliseconds until a call must have its answer. */
export const CALL_DEADLINE_MS = 5_000;

/** One connection, and JetStream over it. */
export interface NatsSession {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
}

export async function natsSession(connection: NatsConnection): Promise<NatsSession> {
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: CALL_DEADLINE_MS });
  return { connection, manager, jetstream: connection.jetstream({ timeout: CALL_DEADLINE_MS }) };
}
