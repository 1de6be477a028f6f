import { inspect } from "node:util";
import { Code } from "@connectrpc/connect";
import type {
  BatchGetConnectionCredentialsRequest,
  GetConnectionCredentialRequest,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { CredentialState, RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import pino from "pino";
import { describe, expect, it } from "vitest";
import { Credentials, Secret } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { catalogOf } from "./harness/catalog-of.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { operator, snapshot, token, untilGone, upserts } from "./harness/frames.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();

const withCredential = (id: string, credentialId: string) =>
  operator(id, 1, { connections: { main: { credential: { active: { id: credentialId } } }, bare: {} } });

/** A service with the operators acme and beta, whose secrets are `pw-<credential id>`. */
async function serviceWithSecrets(refusals = 0) {
  const changed = Promise.withResolvers<void>();
  const reads: GetConnectionCredentialRequest[] = [];
  const batches: BatchGetConnectionCredentialsRequest[] = [];
  const secretOf = (credentialId: string) => ({
    credentialId,
    systemId: "acme01",
    password: `pw-${credentialId}`,
    clientCertificate: { chainPem: "chain", keyPem: "private-key" },
  });
  const server = closing(
    await startMeshServer({
      watches: [
        async function* ({ signal }) {
          yield* snapshot([withCredential("acme", "c1"), withCredential("beta", "gone")], token(1));
          await changed.promise;
          yield upserts([withCredential("acme", "c2")], token(2));
          await untilGone(signal);
        },
      ],
      mesh: {
        async getConnectionCredential(request) {
          reads.push(request);
          if (request.credentialId === "gone") throw serviceError(Code.NotFound, "CREDENTIAL_NOT_FOUND");
          if (reads.length <= refusals) throw serviceError(Code.Internal, "BUG");
          return { secret: secretOf(request.credentialId) };
        },
        async batchGetConnectionCredentials(request) {
          batches.push(request);
          return {
            results: request.requests.map(({ credentialId }) => ({
              result:
                credentialId === "gone"
                  ? { case: "error" as const, value: ErrorReason.CREDENTIAL_NOT_FOUND }
                  : { case: "secret" as const, value: secretOf(credentialId) },
            })),
          };
        },
      },
    }),
  );
  const catalog = closing(await catalogOf(server));
  return { server, catalog, reads, batches, change: changed.resolve, client: createMeshClient(server) };
}

describe("credentials", () => {
  it("are fetched once per id, with the position at which the id was seen", async () => {
    const { catalog, client, reads, change } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog });
    const both = await Promise.all([credentials.candidates("acme/main"), credentials.candidates("acme/main")]);
    const [first] = both[0];
    expect(first).toMatchObject({ id: "c1", systemId: "acme01", clientCertificate: { chainPem: "chain" } });
    expect(first?.password.reveal()).toBe("pw-c1");
    expect(first?.clientCertificate?.keyPem.reveal()).toBe("private-key");
    expect(reads).toMatchObject([
      { operatorId: "acme", connectionId: "main", credentialId: "c1", minimumToken: token(1) },
    ]);
    change();
    await catalog.waitFor(token(2));
    const [second] = await credentials.candidates({ operatorId: "acme", connectionId: "main" });
    expect(second?.password.reveal()).toBe("pw-c2");
    expect(reads[1]).toMatchObject({ credentialId: "c2", minimumToken: token(2) });
  });

  it("stay known while the service is away", async () => {
    const { server, catalog, client } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog });
    await credentials.candidates("acme/main");
    await server.close();
    expect(await credentials.candidates("acme/main")).toHaveLength(1);
  });

  it("are none for a connection without one, and for one that isn't there", async () => {
    const { catalog, client } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog });
    expect(await credentials.candidates("acme/bare")).toEqual([]);
    expect(await credentials.candidates("acme/nothing")).toEqual([]);
  });

  it("are asked for again after a failure", async () => {
    const { catalog, client, reads } = await serviceWithSecrets(1);
    const credentials = new Credentials({ client, catalog });
    await expect(credentials.candidates("acme/main")).rejects.toMatchObject({ code: Code.Internal });
    expect(await credentials.candidates("acme/main")).toHaveLength(1);
    expect(reads).toHaveLength(2);
    await expect(credentials.candidates("beta/main")).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("come in batches for a cold start", async () => {
    const { catalog, client, reads, batches } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog });
    await credentials.prefetch();
    await credentials.prefetch((connection) => connection.operatorId === "acme");
    expect(batches.map((batch) => batch.requests.map((each) => each.credentialId))).toEqual([["c1", "gone"]]);
    expect(await credentials.candidates("acme/main")).toHaveLength(1);
    expect(reads).toHaveLength(0);
  });

  it("have a login budget per connection and credential", async () => {
    const { catalog, client } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog, now: () => 1_000 });
    const ref = { operatorId: "acme", connectionId: "main" };
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(credentials.mayTry(ref, "c1")).toBe(true);
      credentials.reportRejected("acme/main", "c1");
    }
    expect(credentials.mayTry(ref, "c1")).toBe(false);
    expect(credentials.nextTryTime(ref, "c1")).toEqual(new Date(1_000 + 30 * 60_000));
    expect(credentials.mayTry(ref, "c2")).toBe(true);
    expect(credentials.nextTryTime(ref, "c2")).toBeUndefined();
    credentials.reportAbandoned(ref, "c2");
    credentials.reportAccepted(ref, "c1");
    expect(credentials.mayTry(ref, "c1")).toBe(true);
  });
});

describe("credentials during a rotation", () => {
  const rotated = (id: string, mode: RotationMode) =>
    operator(id, 1, {
      connections: {
        main: {
          credential: {
            ...{ active: { id: "old" }, pending: { id: "new", state: CredentialState.PENDING } },
            ...{ mode, startTime: { seconds: 0n }, switchTime: { seconds: 7_200n } },
          },
        },
      },
    });
  async function rotation(mode: RotationMode, unreadable = "") {
    const reads: string[] = [];
    const server = closing(
      await startMeshServer({
        watches: [
          async function* ({ signal }) {
            yield* snapshot([rotated("acme", mode)], token(1));
            await untilGone(signal);
          },
        ],
        mesh: {
          async getConnectionCredential({ credentialId }) {
            reads.push(credentialId);
            if (credentialId === unreadable) throw serviceError(Code.NotFound, "CREDENTIAL_NOT_FOUND");
            return { secret: { credentialId, systemId: "acme01", password: `pw-${credentialId}` } };
          },
        },
      }),
    );
    const time = { ms: 1_000 };
    const catalog = closing(await catalogOf(server));
    const credentials = new Credentials({ client: createMeshClient(server), catalog, now: () => time.ms });
    const order = async () => (await credentials.candidates("acme/main")).map(({ id }) => id);
    return { credentials, order, reads, time };
  }

  it("are both, the new one first; one that may not be tried now comes last", async () => {
    const { credentials, order, time } = await rotation(RotationMode.REPLACE);
    expect(await order()).toEqual(["new", "old"]);
    expect(credentials.mayTry("acme/main", "new")).toBe(true);
    credentials.reportRejected("acme/main", "new");
    expect(await order()).toEqual(["old", "new"]);
    expect(credentials.nextTryTime("acme/main", "new")).toEqual(new Date(301_000));
    time.ms += 300_000;
    expect(await order()).toEqual(["new", "old"]);
  });

  it("have the new one tried once when both are valid, until somebody sees to it", async () => {
    const { credentials, order, time } = await rotation(RotationMode.BOTH_VALID);
    expect(credentials.mayTry("acme/main", "new")).toBe(true);
    credentials.reportRejected("acme/main", "new");
    time.ms += 86_400_000;
    expect(credentials.mayTry("acme/main", "new")).toBe(false);
    expect(credentials.nextTryTime("acme/main", "new")?.getTime()).toBeGreaterThan(time.ms);
    expect(await order()).toEqual(["old", "new"]);
    credentials.retryNow({ operatorId: "acme", connectionId: "main" });
    expect(credentials.mayTry("acme/main", "new")).toBe(true);
  });

  it("are fetched before the switch, when only the old one may be used", async () => {
    const { order, reads } = await rotation(RotationMode.SWITCH_AT);
    expect(await order()).toEqual(["old"]);
    await expect.poll(() => [...reads].sort(), { timeout: 10_000 }).toEqual(["new", "old"]);
  });

  it("leave out one that can't be read", async () => {
    const { order } = await rotation(RotationMode.REPLACE, "new");
    expect(await order()).toEqual(["old"]);
  });
});

describe("a secret", () => {
  it("doesn't show, whoever prints it and whatever it stands in", async () => {
    const { catalog, client } = await serviceWithSecrets();
    const credentials = new Credentials({ client, catalog });
    const candidates = await credentials.candidates("acme/main");
    const lines: string[] = [];
    pino({}, { write: (line: string) => void lines.push(line) }).info({ candidates, credentials }, "x");
    const printed = [
      inspect(candidates, { depth: 9, showHidden: true }),
      inspect(credentials, { depth: 9, showHidden: true }),
      JSON.stringify({ candidates, credentials }),
      String(candidates[0]?.password),
      `${String(candidates[0]?.clientCertificate?.keyPem)}`,
      ...lines,
    ].join("\n");
    expect(printed).toContain("[redacted]");
    expect(printed).not.toMatch(/pw-c1|private-key/);
  });

  it("shows only when asked, and says elsewhere that it is one", () => {
    const secret = new Secret("open sesame");
    expect(secret.reveal()).toBe("open sesame");
    expect([String(secret), inspect(secret), JSON.stringify(secret)]).toEqual([
      "[redacted]",
      "[redacted]",
      '"[redacted]"',
    ]);
  });
});
