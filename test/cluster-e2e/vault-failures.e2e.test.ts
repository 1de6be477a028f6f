import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { opsReason } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../cluster/cluster.ts";
import { until } from "../cluster/until.ts";
import { untilAnswered } from "../history-checker/writers.ts";
import { startActivity, type Activity } from "./support-activity.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { runFailureRow, type FailureRow } from "./support-failure-row.ts";

const SLOW_MS = 250;

const allLinks = ({ pods }: Cluster) => pods.map(({ links }) => links.vault);
const withoutVault = { credentialWrites: ["VAULT_UNAVAILABLE"] };

const rows: readonly FailureRow[] = [
  {
    name: "Vault is sealed",
    hurt: ({ vault }) => vault.seal(),
    heal: ({ vault }) => vault.unseal(),
    ...withoutVault,
  },
  {
    name: "the service's token is revoked",
    hurt: revokeWhileReading,
    heal: () => undefined, // the agent's task, and with a token as short-lived as here nobody notices
  },
  {
    name: "Vault is killed",
    hurt: ({ vault }) => vault.server.kill(),
    heal: async ({ vault }) => {
      await vault.server.start();
      await vault.unseal();
    },
    ...withoutVault,
  },
  {
    name: "Vault is frozen",
    hurt: ({ vault }) => vault.server.pause(),
    heal: ({ vault }) => vault.server.resume(),
    ...withoutVault,
  },
  {
    name: "every pod is cut off from Vault, silently",
    hurt: (cluster) => Promise.all(allLinks(cluster).map((link) => link.blackHole())),
    heal: (cluster) => Promise.all(allLinks(cluster).map((link) => link.heal())),
    ...withoutVault,
  },
  {
    name: `Vault answers ${SLOW_MS} ms later`,
    hurt: (cluster) => Promise.all(allLinks(cluster).map((link) => link.slow(SLOW_MS))),
    heal: (cluster) => Promise.all(allLinks(cluster).map((link) => link.heal())),
  },
];

/**
 * Invariant (design.md §7, Vault): without it credentials can't be written, and only those be read that a pod has read lately; everything else goes
 * on. Afterwards what couldn't be read can.
 */
describe("when Vault fails", () => {
  let cluster: Cluster;
  let activity: Activity;

  beforeAll(async () => {
    cluster = await startCluster({ nats: 1, vault: { mode: "file", agent: true, tokenTtl: "2s" } });
    activity = await startActivity(cluster);
    await activity.well(0);
  });
  afterAll(async () => {
    await activity?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  for (const row of rows) {
    test(`${row.name}: the others go on`, async () => {
      const unread = await storeUnread(cluster);
      const isUnavailable = async () => {
        if (row.credentialWrites === undefined) return;
        for (const pod of cluster.pods) {
          const error: unknown = await meshOf(pod, 10_000)
            .getConnectionCredential(unread)
            .catch((reason: unknown) => reason);
          expect(opsReason(error)).toBe(ErrorReason.VAULT_UNAVAILABLE);
        }
      };
      await runFailureRow(cluster, activity, { ...row, also: isUnavailable });
      for (const pod of cluster.pods) {
        await until("it can be read", async () => {
          const { secret } = await meshOf(pod, 10_000).getConnectionCredential(unread);
          return secret?.password === "pw-unread";
        });
      }
    });
  }
});

/** What is refused for the dead token waits for the next one: reads that begin between the two succeed. */
async function revokeWhileReading(cluster: Cluster): Promise<void> {
  const { pods, vault } = cluster;
  const unread = await storeUnread(cluster);
  const putNext = await vault.prepareServiceToken();
  vault.agent?.pause();
  try {
    await vault.revokeServiceToken();
    const reads = Promise.all(pods.map((pod) => meshOf(pod, 10_000).getConnectionCredential(unread)));
    // Long enough to be refused, shorter than the service waits for another token.
    await Promise.race([reads, delay(500)]);
    await putNext();
    for (const { secret } of await reads) expect(secret?.password).toBe("pw-unread");
  } finally {
    vault.agent?.resume();
  }
}

/** A credential that no pod has read yet. */
async function storeUnread(cluster: Cluster) {
  const [pod] = cluster.pods;
  if (pod === undefined) throw new Error("a cluster without pods");
  const admin = adminOf(pod, cluster, 20_000);
  const operatorId = `unread-${randomUUID().slice(0, 8)}`;
  const operator = { connections: { main: {} } };
  await untilAnswered((requestId) => admin.createOperator({ operatorId, operator, requestId }));
  const of = { operatorId, connectionId: "main" };
  const { credential, token } = await untilAnswered((requestId) =>
    admin.setConnectionCredential({ ...of, systemId: "acme", password: "pw-unread", requestId }),
  );
  return { ...of, credentialId: credential?.id ?? "", minimumToken: token };
}
