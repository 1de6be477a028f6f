import { expect, test } from "vitest";
import { startRedis } from "./redis.ts";
import { until } from "./until.ts";

test("a killed master's replica takes its slots", async () => {
  await using redis = await startRedis();
  const role = async (index: number) => (await redis.nodes[index]!.ask("ROLE")).split("\n")[0];
  const roles = await Promise.all(redis.nodes.map((_, index) => role(index)));
  expect(roles.toSorted()).toEqual(["master", "master", "master", "slave", "slave", "slave"]);

  const killed = roles.indexOf("master");
  await redis.nodes[killed]!.server.kill();
  const replicas = roles.flatMap((each, index) => (each === "slave" ? [index] : []));
  await until("one of the replicas is master", async () => (await Promise.all(replicas.map(role))).includes("master"));
  const witness = redis.nodes[replicas[0]!]!;
  await until("all slots are served", async () => (await witness.ask("CLUSTER", "INFO")).includes("cluster_state:ok"));
});
