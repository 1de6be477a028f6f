import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { DeadLetterSchema, type DeadLetter } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  HealthReportSchema,
  HealthTransitionSchema,
  type HealthReport,
  type HealthTransition,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { connect } from "nats";
import type { Nats } from "../cluster/nats.ts";
import type { PostgresNode } from "../cluster/postgres.ts";

/** JetStream as a connector has it, past the service and its links to NATS; and a look at what health keeps there. */
export interface HealthBus extends AsyncDisposable {
  /** As a connector publishes it. Rejects when nobody says that it is kept. */
  publish(report: HealthReport): Promise<void>;
  publishBytes(subject: string, data: Uint8Array): Promise<void>;
  /** All that OPS_STATE holds, in its order. */
  transitions(): Promise<RecordedTransition[]>;
  /** All that OPS_DLQ holds, in its order. */
  deadLetters(): Promise<DeadLetter[]>;
  /** What a durable consumer has not finished. */
  waitingFor(stream: string, durable: string): Promise<number>;
  /** How often a durable consumer was given a message. */
  deliveries(stream: string, durable: string): Promise<number>;
}

/** A transition, and its encoded form as hex. */
export interface RecordedTransition {
  readonly transition: HealthTransition;
  readonly record: string;
}

const PUBLISH_TIMEOUT_MS = 3_000;
const READ_TIMEOUT_MS = 20_000;

export async function openHealthBus(nats: Nats): Promise<HealthBus> {
  const connection = await connect({
    ...{ servers: [...nats.servers], user: nats.user, pass: nats.password },
    ...{ maxReconnectAttempts: -1, reconnectTimeWait: 250, pingInterval: 2_000, maxPingOut: 2 },
  });
  const jetstream = connection.jetstream({ timeout: PUBLISH_TIMEOUT_MS });
  const manager = await connection.jetstreamManager({ checkAPI: false });

  const publishBytes = async (subject: string, data: Uint8Array): Promise<void> => {
    await jetstream.publish(subject, data, { timeout: PUBLISH_TIMEOUT_MS });
  };
  const readAll = async (stream: string): Promise<Uint8Array[]> => {
    const { messages } = (await manager.streams.info(stream)).state;
    if (messages === 0) return [];
    const consumer = await jetstream.consumers.get(stream);
    const all: Uint8Array[] = [];
    for await (const message of await consumer.fetch({ max_messages: messages, expires: READ_TIMEOUT_MS })) {
      all.push(message.data);
    }
    return all;
  };
  return {
    publishBytes,
    publish: (report) =>
      publishBytes(
        `ops.health.v1.${report.operatorUid}.${report.connectionId}.${report.node}`,
        toBinary(HealthReportSchema, report),
      ),
    transitions: async () => (await readAll("OPS_STATE")).map(recordedTransition),
    deadLetters: async () => (await readAll("OPS_DLQ")).map((data) => fromBinary(DeadLetterSchema, data)),
    waitingFor: async (stream, durable) => {
      const { num_pending: pending, num_ack_pending: given } = await manager.consumers.info(stream, durable);
      return pending + given;
    },
    deliveries: async (stream, durable) => (await manager.consumers.info(stream, durable)).delivered.consumer_seq,
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** All that a PostgreSQL node has of them, in order of time. */
export async function storedTransitions(node: PostgresNode): Promise<RecordedTransition[]> {
  const rows = await node.query<{ record: Buffer }>("SELECT record FROM health_transition ORDER BY time");
  return rows.map(({ record }) => recordedTransition(record));
}

function recordedTransition(data: Uint8Array): RecordedTransition {
  return { transition: fromBinary(HealthTransitionSchema, data), record: Buffer.from(data).toString("hex") };
}
