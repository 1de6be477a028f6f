import { expect } from "vitest";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import type { VaultApi } from "../cluster/vault-api.ts";
import { meshOf } from "./support-clients.ts";

/** A credential's row, read past the service. */
export interface TrueCredential {
  readonly id: string;
  /** Operator uid and connection. */
  readonly of: string;
  readonly version: number;
  readonly state: string;
  readonly path: string;
  readonly isDeleted: boolean;
  readonly isDestroyed: boolean;
}

/** What Vault says of the one version of a path. */
export type SecretState = "readable" | "deleted" | "destroyed";

/** What PostgreSQL and Vault hold of credentials. */
export interface CredentialTruth {
  readonly rows: readonly TrueCredential[];
  /** By path below the mount. */
  readonly secrets: ReadonlyMap<string, SecretState>;
}

export async function readCredentials({ postgres, vault }: Cluster): Promise<CredentialTruth> {
  const rows = await postgres.primary.query<TrueCredential>(
    `SELECT id, operator_uid || ' ' || connection_id AS of, version, state, path, secret_delete_time IS NOT NULL AS "isDeleted",
       secret_destroy_time IS NOT NULL AS "isDestroyed" FROM credential ORDER BY create_time`,
  );
  return { rows, secrets: new Map(await secretsBelow(vault.api, "ops/operators/")) };
}

async function secretsBelow(api: VaultApi, folder: string): Promise<[string, SecretState][]> {
  const answer = await api.call("GET", `secret/metadata/${folder}?list=true`).catch((error: unknown) => {
    if (error instanceof Error && error.message.includes(": 404 ")) return { data: { keys: [] } };
    throw error;
  });
  const { keys } = answer["data"] as { keys: string[] };
  const found = await Promise.all(
    keys.map(async (key): Promise<[string, SecretState][]> =>
      key.endsWith("/") ? secretsBelow(api, folder + key) : [[folder + key, await stateOf(api, folder + key)]],
    ),
  );
  return found.flat();
}

async function stateOf(api: VaultApi, path: string): Promise<SecretState> {
  const { data } = await api.call("GET", `secret/metadata/${path}`);
  const { versions } = data as { versions: Record<string, { deletion_time: string; destroyed: boolean }> };
  expect(Object.keys(versions), `versions of ${path}`).toEqual(["1"]);
  const only = versions["1"];
  if (only?.destroyed) return "destroyed";
  return only?.deletion_time === "" ? "readable" : "deleted";
}

/** Of rows by state, or of secrets. */
export type Counts = Record<string, number>;

/** How many rows there are per state, and `secrets` that are readable. */
export function countsOf({ rows, secrets }: CredentialTruth): Counts {
  const counts: Counts = { secrets: [...secrets.values()].filter((s) => s === "readable").length };
  for (const { state } of rows) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/** The invariant, as far as PostgreSQL and Vault can break it. */
export async function expectUnbroken(cluster: Cluster): Promise<CredentialTruth> {
  const truth = await readCredentials(cluster);
  const paths = new Set(truth.rows.map(({ path }) => path));
  for (const path of truth.secrets.keys()) expect(paths, "a secret that no row knows is never removed").toContain(path);
  const only = new Set<string>();
  for (const { id, of, state, path, isDeleted, isDestroyed } of truth.rows) {
    const secret = truth.secrets.get(path);
    if (state === "ACTIVE" || state === "PENDING") expect(secret, `the secret of ${state} ${id}`).toBe("readable");
    // What was on its way to Vault when its pod died may come after the deletion, which is why the destruction doesn't ask what is there.
    if (isDestroyed || (isDeleted && state !== "ABANDONED"))
      expect(secret, `the secret of ${state} ${id}, which is gone`).not.toBe("readable");
    if (state !== "ACTIVE" && state !== "PENDING") continue;
    expect(only, "connections with two ACTIVE or two PENDING credentials").not.toContain(`${state} ${of}`);
    only.add(`${state} ${of}`);
  }
  return truth;
}

/** Every pod knows this credential as the connection's active one and hands out this password. */
export async function expectUsable(
  pods: readonly Pod[],
  of: { readonly operatorId: string; readonly connectionId: string },
  { id, password, token }: { readonly id: string; readonly password: string; readonly token: string },
): Promise<void> {
  await Promise.all(
    pods.map(async (pod) => {
      const mesh = meshOf(pod, 20_000);
      const read = await mesh.getConnectionCredential({ ...of, credentialId: id, minimumToken: token });
      expect(read.secret?.password, `through ${pod.name}`).toBe(password);
      const { operator } = await mesh.getOperator({ operatorId: of.operatorId });
      expect(operator?.connections[of.connectionId]?.credential?.active?.id, `at ${pod.name}`).toBe(id);
    }),
  );
}

/** What there is more, or less, than before; without zeros. */
export function difference(before: Counts, after: Counts): Counts {
  const minus = Object.fromEntries(Object.entries(before).map(([key, count]) => [key, -count]));
  return sum(after, minus);
}

/** Without zeros. */
export function sum(a: Counts, b: Counts): Counts {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  const all = [...keys].map((key) => [key, (a[key] ?? 0) + (b[key] ?? 0)] as const);
  return Object.fromEntries(all.filter(([, count]) => count !== 0));
}

/** By state of the row: what has become of how many secrets. */
export function fates({ rows, secrets }: CredentialTruth): Record<string, Counts> {
  const all: Record<string, Counts> = {};
  for (const { state, path } of rows) {
    const counts = (all[state] ??= {});
    const fate = secrets.get(path) ?? "none";
    counts[fate] = (counts[fate] ?? 0) + 1;
  }
  return all;
}

/** For the log. */
export function words(truth: CredentialTruth): string {
  return Object.entries(countsOf(truth))
    .map(([what, count]) => `${count} ${what}`)
    .join(", ");
}
