import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDataFolder } from "../../src/embedded/data-folder.ts";
import { DataFolderLockedError } from "../../src/embedded/folder-lock.ts";

describe("the data folder", () => {
  let path: string;
  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), "folder-")), ".data");
  });
  afterEach(() => rm(join(path, ".."), { recursive: true, force: true }));

  it("makes an admin token that only its owner may read, and keeps it", async () => {
    const first = await openDataFolder(path);
    await first.close();
    const second = await openDataFolder(path);
    expect(second.adminToken).toBe(first.adminToken);
    expect(first.adminToken).toMatch(/^[\w-]{43}$/);
    expect((await stat(first.adminTokenFile)).mode & 0o777).toBe(0o600);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    await second.close();
  });

  it("refuses a second owner, naming the first and what to do", async () => {
    const first = await openDataFolder(path);
    const second = openDataFolder(path);
    await expect(second).rejects.toThrow(DataFolderLockedError);
    await expect(openDataFolder(path)).rejects.toThrow(`is in use by process ${process.pid}`);
    await expect(openDataFolder(path)).rejects.toThrow("OPS_DATA_DIR=.data2");
    await first.close();
  });

  it("takes over from an owner that was killed", async () => {
    const script = `const { openDataFolder } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/embedded/data-folder.ts"))});
      await openDataFolder(${JSON.stringify(path)}); console.log("open"); setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ["--conditions=source", "--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(owner, "exit");
    await once(owner.stdout, "data");
    await expect(openDataFolder(path)).rejects.toThrow(`is in use by process ${owner.pid}`);
    owner.kill("SIGKILL");
    await exited;
    const next = await openDataFolder(path);
    await next.close();
  });

  it("takes over from an owner whose process number somebody else has now", async () => {
    const folder = await openDataFolder(path);
    await folder.close();
    // Process 1 runs, but it didn't start at this tick of this boot.
    await writeFile(join(path, "lock.1"), "1 12345@00000000-0000-0000-0000-000000000000\n");
    const next = await openDataFolder(path);
    expect(await readFile(join(path, "lock.2"), "utf8")).toMatch(new RegExp(`^${process.pid} `));
    expect(await readdir(path)).not.toContain("lock.1");
    await next.close();
  });

  it("lets exactly one of many starters have a dead owner's folder", async () => {
    const folder = await openDataFolder(path);
    await folder.close();
    // Each time another one is in time to see it dead.
    for (let round = 1; round <= 100; round++) {
      await writeFile(join(path, `lock.${round}`), "999999999 1@dead\n");
      const starters = await Promise.allSettled(Array.from({ length: 8 }, () => openDataFolder(path)));
      const winners = starters.filter((starter) => starter.status === "fulfilled");
      expect(winners).toHaveLength(1);
      for (const starter of starters) {
        if (starter.status === "rejected") expect(starter.reason).toMatchObject({ pid: process.pid });
      }
      for (const winner of winners) await winner.value.close();
    }
  });

  it("belongs to the owner of the last lock, whatever other locks there are", async () => {
    const first = await openDataFolder(path);
    await first.close();
    const second = await openDataFolder(path);
    await writeFile(join(path, "lock.1"), "999999999 1@dead\n");
    await expect(openDataFolder(path)).rejects.toThrow(DataFolderLockedError);
    await second.close();
    const third = await openDataFolder(path);
    expect(await readdir(path)).toEqual(expect.arrayContaining(["lock.3"]));
    await third.close();
  });

  it("refuses an admin token that is empty, saying what to do", async () => {
    const folder = await openDataFolder(path);
    await folder.close();
    await writeFile(folder.adminTokenFile, "\n");
    await expect(openDataFolder(path)).rejects.toThrow("delete it and start again");
  });
});
