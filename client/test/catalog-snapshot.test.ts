import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { OperatorCatalog, type CatalogOptions, type SnapshotStore } from "../src/index.ts";
import { createMeshClient, fileSnapshots } from "../src/node.ts";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { bookmark, operator, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer, type MeshServer, type WatchScript } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const NOWHERE = "http://127.0.0.1:9";

/** A snapshot of `acme` at this revision, then nothing more. */
function serving(revision: number): WatchScript {
  return async function* ({ signal }) {
    yield* snapshot([operator("acme", revision)], token(revision));
    await untilGone(signal);
  };
}

async function file(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "snapshot-"));
  closing({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) });
  return join(folder, "state", "catalog");
}

const weight = (catalog: OperatorCatalog): number | undefined => catalog.connection("acme/main")?.connection.weight;

/** Runs a catalog until it is closed, so that it leaves a snapshot of this revision. */
async function leave(path: string, revision: number, options: Partial<CatalogOptions> = {}): Promise<MeshServer> {
  const server = closing(await startMeshServer({ watches: [serving(revision)] }));
  const catalog = await catalogOf(server, { snapshot: { store: fileSnapshots(path) }, ...options });
  await catalog.close();
  return server;
}

/** A catalog that starts while the service is away. */
async function alone(options: Partial<CatalogOptions>): Promise<OperatorCatalog> {
  const client = createMeshClient({ baseUrl: NOWHERE });
  return closing(await OperatorCatalog.start({ client, ready: { timeoutMs: 50 }, ...options }));
}

describe("a catalog's snapshot", () => {
  it("is what a catalog starts with while the service is away, marked stale", async () => {
    const path = await file();
    const before = Date.now();
    await leave(path, 7);
    const catalog = await alone({ snapshot: { store: fileSnapshots(path) } });
    expect(weight(catalog)).toBe(7);
    expect(catalog.status).toMatchObject({ source: "snapshot", connected: false, token: token(7) });
    const { staleSince } = catalog.status;
    expect(staleSince?.getTime()).toBeGreaterThanOrEqual(before - 1);
    expect(staleSince?.getTime()).toBeLessThanOrEqual(Date.now());
  });

  it("is where the watch goes on from, without fetching everything", async () => {
    const path = await file();
    await leave(path, 7);
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal, request }) {
            yield bookmark(request.startToken);
            yield upserts([operator("acme", 8)], token(8));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server, { snapshot: { store: fileSnapshots(path) } }));
    await catalog.waitFor(token(8));
    expect(server.watches[0]?.request).toMatchObject({ startToken: token(7), initialSnapshot: false });
    expect(catalog.status).toMatchObject({ source: "live", connected: true });
    expect(catalog.status.staleSince).toBeUndefined();
    expect(weight(catalog)).toBe(8);
  });

  it("of another installation, or of a history that is gone, gives way to what the service has", async () => {
    const path = await file();
    await leave(path, 7);
    const server = closing(
      await startMeshServer({
        watches: [
          // eslint-disable-next-line require-yield -- the service refuses the token at once
          async function* () {
            throw serviceError(Code.OutOfRange, "TOKEN_FOREIGN");
          },
          async function* ({ signal }) {
            yield* snapshot([operator("other", 1)], token(1, { store: 2 }));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server, { snapshot: { store: fileSnapshots(path) } }));
    expect(catalog.status).toMatchObject({ source: "live", token: token(1, { store: 2 }) });
    expect([...catalog.operators.keys()]).toEqual(["other"]);
  });

  it("is used when the service refuses the watch, instead of an error", async () => {
    const path = await file();
    await leave(path, 7);
    const server = closing(
      await startMeshServer({
        watches: [
          // eslint-disable-next-line require-yield -- the service refuses at once
          async function* () {
            throw serviceError(Code.PermissionDenied, "ACCESS_DENIED");
          },
        ],
      }),
    );
    const catalog = closing(await catalogOf(server, { snapshot: { store: fileSnapshots(path) } }));
    expect(catalog.status).toMatchObject({ source: "snapshot" });
    expect(weight(catalog)).toBe(7);
  });

  it("is a file that only its owner can read, with nothing beside it", async () => {
    const path = await file();
    await leave(path, 7);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(path, ".."))).toEqual(["catalog"]);
  });

  it("is written after changes, but not more often than the interval, and at the end", async () => {
    const written: Uint8Array[] = [];
    const step = Promise.withResolvers<void>();
    const store: SnapshotStore = {
      read: async () => undefined,
      write: async (bytes) => void written.push(bytes),
    };
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([operator("acme", 1)], token(1));
            await step.promise;
            for (let revision = 2; revision <= 20; revision++)
              yield upserts([operator("acme", revision)], token(revision));
            await untilGone(signal);
          },
        ],
      }),
    );
    const catalog = await catalogOf(server, { snapshot: { store, intervalMs: 600_000 } });
    await expect.poll(() => written.length, { timeout: 15_000 }).toBe(1);
    step.resolve();
    await catalog.waitFor(token(20));
    await catalog.close();
    expect(written).toHaveLength(2);
    expect(weight(await alone({ bootstrap: written[1] ?? new Uint8Array() }))).toBe(20);
  });

  it("that can't be written is told of, and the catalog goes on", async () => {
    const path = await file();
    await leave(path, 7);
    const warnings: string[] = [];
    const warn = (_: object, text: string): void => void warnings.push(text);
    const server = closing(await startMeshServer({ watches: [serving(1)] }));
    const store = {
      read: async () => undefined,
      write: () => fileSnapshots(join(path, "below-a-file")).write(new Uint8Array()),
    };
    const logger = { info: () => undefined, warn, error: () => undefined };
    const catalog = closing(await catalogOf(server, { snapshot: { store }, logger }));
    await expect.poll(() => catalog.status.snapshotError?.message, { timeout: 15_000 }).toMatch(/ENOTDIR|EEXIST/);
    expect(warnings).toHaveLength(1);
    expect(weight(catalog)).toBe(1);
  });
});

describe("a snapshot that can't be trusted", () => {
  it.for<[what: string, spoil: (bytes: Buffer) => Uint8Array, why: RegExp]>([
    ["cut off", (bytes) => bytes.subarray(0, -1), /it is damaged/],
    ["empty", () => new Uint8Array(), /it is no snapshot/],
    ["something else", () => new TextEncoder().encode("{}"), /it is no snapshot/],
    ["changed in one bit", (bytes) => bytes.fill(bytes[60]! ^ 1, 60, 61), /it is damaged/],
    ["of another version", (bytes) => bytes.fill(2, 7, 8), /another version/],
  ])("%s: is refused with the reason, and a normal start follows", async ([, spoil, why]) => {
    const path = await file();
    const server = await leave(path, 7);
    await chmod(path, 0o600);
    await writeFile(path, spoil(await readFile(path)));
    const catalog = closing(await catalogOf(server, { snapshot: { store: fileSnapshots(path) } }));
    expect(catalog.status.snapshotError).toMatchObject({ reason: "SNAPSHOT_REFUSED" });
    expect(catalog.status.snapshotError?.message).toMatch(why);
    expect(catalog.status.source).toBe("live");
    expect(server.watches.at(-1)?.request.initialSnapshot).toBe(true);
    await expect(alone({ snapshot: { store: fileSnapshots(`${path}-none`) } })).rejects.toMatchObject({
      reason: "NOT_READY",
    });
  });

  it("of another filter: is refused", async () => {
    const path = await file();
    const server = await leave(path, 7, { filter: "kind = AGGREGATOR" });
    const catalog = closing(await catalogOf(server, { snapshot: { store: fileSnapshots(path) } }));
    expect(catalog.status.snapshotError?.message).toContain("another filter");
    expect(catalog.status.source).toBe("live");
  });
});

it("a bootstrap is used where there is no snapshot, and a snapshot goes before it", async () => {
  const server = closing(await startMeshServer({ watches: [serving(3)] }));
  const live = closing(await catalogOf(server));
  const bootstrap = await live.snapshot();
  const path = await file();
  const first = await alone({ bootstrap, snapshot: { store: fileSnapshots(path) } });
  expect([first.status.source, weight(first)]).toEqual(["bootstrap", 3]);
  await leave(path, 7);
  const second = await alone({ bootstrap, snapshot: { store: fileSnapshots(path) } });
  expect([second.status.source, weight(second)]).toEqual(["snapshot", 7]);
});
