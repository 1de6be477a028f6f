import { expect, test } from "vitest";
import type { SpawnedService } from "../harness/service.ts";
import { startCluster } from "./cluster.ts";
import { until } from "./until.ts";

test("what one pod writes the others read, also after all were killed and started again", async () => {
  await using cluster = await startCluster();
  const [first, second, third] = cluster.pods.map((pod) => () => pod.service);
  await first!().admin.createOperator({ operatorId: "acme-de", operator: { displayName: "Acme" } });
  expect(await displayName(second!())).toBe("Acme");
  await Promise.all(cluster.pods.map((pod) => pod.kill()));
  await Promise.all(cluster.pods.map((pod) => pod.restart()));
  expect(await displayName(third!())).toBe("Acme");
});

test("a pod that is cut off from the primary doesn't take writes; the others do, and it catches up", async () => {
  await using cluster = await startCluster({ pods: 2, nats: 1, passwords: "vault" });
  const [cutOff, other] = cluster.pods;
  await cutOff!.links.primary.cut();
  await expect(cutOff!.service.admin.createOperator({ operatorId: "lost" })).rejects.toThrow("unavailable");
  await other!.service.admin.createOperator({ operatorId: "acme-de", operator: { displayName: "Acme" } });
  await cutOff!.links.primary.heal();
  await until("it has caught up", async () => (await displayName(cutOff!.service)) === "Acme");
});

async function displayName({ admin }: SpawnedService) {
  const { operator } = await admin.getOperator({ operatorId: "acme-de" });
  return operator?.displayName;
}
