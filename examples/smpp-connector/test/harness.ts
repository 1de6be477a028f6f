import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { onTestFinished, vi } from "vitest";
import { startSmsc, type Smsc, type SmscOptions } from "../../smsc-simulator/src/smsc.ts";
import { desiredState, type Desired } from "../src/desired.ts";

export const acme = { systemId: "acme01", password: "s3cr3t-acme", maxBinds: 4 };
export const uid = "8f14e45f-ceea-467f-a8c4-000000000001";
export const credentialId = "8f14e45f-ceea-467f-a8c4-00000000000a";

/** A port where nobody listens. One that was free a moment ago won't do: others on this machine take free ports too. */
export const closedPort = 1;

/** A simulator on free ports that lives as long as the test. */
export async function runSmsc(options: Partial<SmscOptions> = {}): Promise<Smsc> {
  const smsc = await startSmsc({ ports: [0], accounts: [acme], ...options });
  onTestFinished(() => smsc.close());
  return smsc;
}

/** The bound sessions of an account, as the vendor sees them. */
export function sessionsOf(smsc: Smsc, systemId: string = acme.systemId) {
  return smsc.state().accounts.find((account) => account.systemId === systemId)?.sessions ?? [];
}

/** An account and its counters, as the vendor sees them. */
export function accountOf(smsc: Smsc, systemId: string = acme.systemId) {
  return smsc.state().accounts.find((account) => account.systemId === systemId);
}

/** An ENABLED connection with one endpoint and a credential, as the service would serve it. */
export function connection(init: Exclude<MessageInitShape<typeof ConnectionSchema>, Connection> = {}): Connection {
  return create(ConnectionSchema, {
    systemId: acme.systemId,
    endpoints: { primary: { host: "127.0.0.1", port: 2775 } },
    throughput: { maxSegmentsPerSecond: 10 },
    reconnect: { initial: { seconds: 1n } },
    effectiveState: AdminState.ENABLED,
    credential: { active: { id: credentialId, version: 1, systemId: acme.systemId } },
    ...init,
  });
}

/** What the connections of operator `acme-de` ask of a node. */
export function desired(connections: Record<string, Connection>, labels = {}, operatorUid = uid): Desired {
  const operator = create(OperatorSchema, { id: "acme-de", uid: operatorUid, connections });
  return desiredState(
    Object.entries(connections).map(([connectionId, connection]) => ({ operator, connectionId, connection })),
    labels,
  );
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { timeout: 15_000, interval: 5 });
}
