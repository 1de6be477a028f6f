import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { expect, test } from "vitest";
import { failure } from "./failure.ts";
import { changeConnection, newOperator, storedConnection } from "./operators.ts";
import { newDataDir, openWorld, removeDataDir } from "./world.ts";

test("a planted password is nowhere in the data folder, in logs or in errors", async () => {
  const dataDir = await newDataDir();
  const world = await openWorld(dataDir);
  const planted = "Pl4nted^Canary~7f3a";
  const { uid: _, ...name } = await newOperator(world);
  const request = { ...name, systemId: "acme01", password: planted, reason: "planting", requestId: randomUUID() };
  const texts: string[] = [];
  await world.admin.setConnectionCredential(request);
  await world.admin.setConnectionCredential(request);
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, systemId: "x" }))).text);
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, operatorId: "nobody" }))).text);
  world.outage.secretStore = true;
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, requestId: "" }))).text);
  world.outage.secretStore = false;
  await changeConnection(world, name.operatorId, "main", { adminState: AdminState.ENABLED });
  texts.push((await failure(world.admin.setConnectionCredential({ ...request, requestId: "" }))).text);
  const active = (await storedConnection(world, name.operatorId))!.credential!.active!;
  const read = await world.mesh.getConnectionCredential({ ...name, credentialId: active.id });
  expect(read.secret?.password).toBe(planted); // it was stored: the search below would find it

  expect(texts.every((text) => text !== "")).toBe(true);
  expect([...texts, ...world.logLines].join("\n")).not.toContain(planted);
  await world.close();
  const found: string[] = [];
  for (const file of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const bytes = await readFile(join(file.parentPath, file.name));
    if (bytes.includes(planted) || bytes.includes(Buffer.from(planted).toString("base64").slice(0, 20)))
      found.push(file.name);
    if (bytes.includes("planting")) found.push("reason");
  }
  expect(new Set(found)).toEqual(new Set(["reason"])); // the reason is found, so the search works
  await removeDataDir(dataDir);
});
