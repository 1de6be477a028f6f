import { randomUUID } from "node:crypto";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { and, asc, eq, sql } from "drizzle-orm";
import { expect } from "vitest";
import { configChange, credential } from "../../src/db/schema.ts";
import { changeConnection, newOperator, storedConnection } from "./operators.ts";
import type { World } from "./world.ts";

/** A live connection with a credential. */
export interface LiveConnection {
  readonly operatorId: string;
  readonly connectionId: string;
  readonly uid: string;
  /** The credential in use. */
  readonly active: string;
}

/** A new operator whose connection `main` is ENABLED and has the credential acme01 / `pw-1`. */
export async function liveConnection(world: World): Promise<LiveConnection> {
  const { uid, ...name } = await newOperator(world);
  const { credential } = await world.admin.setConnectionCredential({ ...name, systemId: "acme01", password: "pw-1" });
  await changeConnection(world, name.operatorId, "main", { adminState: AdminState.ENABLED });
  return { ...name, uid, active: credential!.id };
}

type RotateInit = Parameters<World["admin"]["rotateConnectionCredential"]>[0];

/** Begins a rotation to acme01 / `pw-2` (BOTH_VALID unless `init` says otherwise), and resolves to its pending id when the catalog knows it. */
export async function rotate(world: World, of: LiveConnection, init: RotateInit = {}): Promise<string> {
  const { operatorId, connectionId } = of;
  const version = init.credentialId === undefined ? { systemId: "acme01", password: "pw-2" } : {};
  const reply = await world.admin.rotateConnectionCredential({
    ...{ operatorId, connectionId, mode: RotationMode.BOTH_VALID, ...version },
    ...init,
  });
  await world.catalog.refresh();
  return reply.credential!.pending!.id;
}

/** What a promotion or a cancellation names. */
export function named({ operatorId, connectionId }: LiveConnection, credentialId: string) {
  return { operatorId, connectionId, credentialId };
}

/** The states of the connection's versions, oldest first, by their rows. */
export async function statesOf(world: World, { uid, connectionId }: LiveConnection): Promise<string[]> {
  const rows = await world.database.db
    .select({ state: credential.state })
    .from(credential)
    .where(and(eq(credential.operatorUid, uid), eq(credential.connectionId, connectionId)))
    .orderBy(asc(credential.version));
  return rows.map(({ state }) => state);
}

const PATIENCE = { timeout: 15_000 };

/** Resolves once the versions, oldest first, are in these states. */
export async function untilStates(world: World, of: LiveConnection, states: readonly string[]): Promise<void> {
  await expect.poll(() => statesOf(world, of), PATIENCE).toEqual(states);
}

/** Resolves once no rotation is under way. */
export async function untilEnded(world: World, of: LiveConnection): Promise<void> {
  await expect.poll(() => statesOf(world, of), PATIENCE).not.toContain("PENDING");
}

/** The operator's number of revisions. */
export async function revisionsOf(world: World, { uid }: LiveConnection): Promise<number> {
  const [row] = await world.database.db
    .select({ count: sql<number>`count(*)::int` })
    .from(configChange)
    .where(eq(configChange.operatorUid, uid));
  return row!.count;
}

/** The connection's credential as the database has it. */
export async function credentialOf(world: World, { operatorId }: LiveConnection) {
  return (await storedConnection(world, operatorId))!.credential!;
}

/** Every ACTIVE and PENDING version's secret, read as a connector does; throws where one can't be read. */
export async function readableSecrets(world: World, of: LiveConnection): Promise<string[]> {
  await world.catalog.refresh();
  const { active, pending } = await credentialOf(world, of);
  const { operatorId, connectionId } = of;
  const reads = [active, pending].flatMap((version) => (version === undefined ? [] : [version.id]));
  return Promise.all(
    reads.map(async (credentialId) => {
      const { secret } = await world.mesh.getConnectionCredential({ operatorId, connectionId, credentialId });
      return secret!.password;
    }),
  );
}

interface Bind {
  readonly state: BindState;
  readonly credentialId: string;
  readonly lastBindStatus?: number;
  readonly rejectedCredentialId?: string;
}

/** A node's report of its one bind of this connection. */
export async function report(world: World, of: LiveConnection, bind: Bind, init: object = {}): Promise<void> {
  const { operatorId, connectionId, uid: operatorUid } = of;
  const binds = [{ role: BindRole.TRX, endpointId: "a", ...bind }];
  await world.mesh.reportNodeStatus({
    ...{
      node: `smpp-${randomUUID().slice(0, 8)}`,
      epoch: 1n,
      connections: [{ operatorId, operatorUid, connectionId, binds }],
    },
    ...init,
  });
}

export const bound = (credentialId: string): Bind => ({ state: BindState.BOUND, credentialId, lastBindStatus: 0 });
export const refused = (credentialId: string): Bind => ({
  state: BindState.FAILED,
  credentialId,
  lastBindStatus: 0x0e,
});
