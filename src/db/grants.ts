import { getTableName, sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import type { Transaction } from "./db.ts";
import * as schema from "./schema.ts";
import { appliedMigration } from "./schema-level.ts";

type Privilege = "select" | "insert" | "update" | "delete";

/**
 * What the service's role may do: no more than its code does. History and audit only ever grow: whoever takes over the service can't rewrite what
 * was done.
 */
const GRANTS = {
  configHead: ["select", "update"],
  operator: ["select", "insert", "update", "delete"],
  configChange: ["select", "insert"],
  requestLog: ["select", "insert", "update", "delete"],
  credential: ["select", "insert", "update"],
  auditEvent: ["select", "insert"],
  nodeStatus: ["select", "insert", "update", "delete"],
  healthTransition: ["select", "insert", "delete"],
} as const satisfies Record<keyof typeof schema, readonly Privilege[]>;

/** The role can't be the service's; the text says why. */
export class ServiceRoleError extends Error {
  constructor(text: string) {
    super(text);
    this.name = "ServiceRoleError";
  }
}

/**
 * Gives the role exactly what the service needs and takes everything else on these tables from it and from everybody; running services
 * notice nothing.
 * @returns a line for each table
 * @throws ServiceRoleError
 */
export async function grantToService(tx: Transaction, role: string): Promise<string[]> {
  await checkRole(tx, role);
  const to = sql.identifier(role);
  const current = sql.identifier(await currentSchema(tx));
  await tx.execute(sql`revoke create on schema ${current} from public`);
  await tx.execute(sql`revoke create on schema ${current} from ${to}`);
  await tx.execute(sql`grant usage on schema ${current} to ${to}`);
  const lines: string[] = [];
  for (const [key, privileges] of Object.entries(GRANTS) as [keyof typeof GRANTS, readonly Privilege[]][]) {
    const table = schema[key];
    await tx.execute(sql`revoke all on ${table} from public, ${to}`);
    await tx.execute(sql`grant ${sql.raw(privileges.join(", "))} on ${table} to ${to}`);
    lines.push(`${getTableName(table)}: ${privileges.join(", ")}`);
  }
  await tx.execute(
    sql`grant usage on schema ${sql.identifier(getTableConfig(appliedMigration).schema ?? "")} to ${to}`,
  );
  await tx.execute(sql`grant select on ${appliedMigration} to ${to}`);
  return lines;
}

async function checkRole(tx: Transaction, role: string): Promise<void> {
  const [found] = await tx
    .select({
      superuser: sql<boolean>`rolsuper`,
      owner: sql<boolean>`pg_has_role(oid, current_user, 'member')`,
    })
    .from(sql`pg_roles`)
    .where(sql`rolname = ${role}`);
  if (found === undefined) {
    throw new ServiceRoleError(
      `there is no role ${role}: create it (create role ${role} login password '…'), or name the service's role with --service-role`,
    );
  }
  if (found.superuser || found.owner) {
    throw new ServiceRoleError(
      `role ${role} is a superuser, or the owner of the tables, so that nothing could be kept from it: give the service a role of its own`,
    );
  }
}

async function currentSchema(tx: Transaction): Promise<string> {
  const [row] = await tx.select({ name: sql<string>`current_schema()` }).from(sql`(values (1)) as one`);
  return row?.name ?? "public";
}
