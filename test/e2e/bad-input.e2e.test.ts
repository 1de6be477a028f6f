// Longer than 250 lines because every bad call is a row of one table.
import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeToken, encodeToken } from "@operator-management/client";
import { startTestService, type TestService } from "../harness/service.ts";

/** One bad call: what it is, its method, its body as JSON text, the reason it must get, and words that its text must have. */
type Row = readonly [what: string, method: string, body: object | string, reason: string, words: string];

/** An error as Connect prints it. */
interface ConnectErrorBody {
  readonly code: string;
  readonly message: string;
  readonly details: readonly {
    readonly type: string;
    readonly value: string;
    readonly debug?: { reason?: string; domain?: string };
  }[];
}

const acme = { operatorId: "acme" };
const main = (connection: object): object => ({ ...acme, operator: { connections: { main: connection } } });
const masked = (updateMask: string, operator: object = {}): object => ({ ...acme, updateMask, operator });
const coverage = (entry: object): object => main({ coverage: [entry] });
const label = (key: string): string => `{"operatorId":"acme","operator":{"labels":{"${key}":"x"}}}`;

const rows: readonly Row[] = [
  ["an empty id", "GetOperator", {}, "FIELD_INVALID", "operator_id"],
  ["an id in capitals", "CreateOperator", { operatorId: "ACME" }, "FIELD_INVALID", "operator_id"],
  ["an unknown operator", "GetOperator", { operatorId: "nobody" }, "OPERATOR_NOT_FOUND", "nobody"],
  ["an id that is taken", "CreateOperator", acme, "OPERATOR_EXISTS", "acme"],
  ["an unknown field", "CreateOperator", { operatorId: "x1", colour: "red" }, "FIELD_UNKNOWN", "colour"],
  [
    "an unknown field deep inside",
    "UpdateOperator",
    main({ throughput: { speed: 1 } }),
    "FIELD_UNKNOWN",
    "connections.main.throughput.speed",
  ],
  ["a text where a number belongs", "UpdateOperator", main({ throughput: { window: "many" } }), "", "window"],
  ["a number where a text belongs", "UpdateOperator", { ...acme, operator: { displayName: 7 } }, "", "display_name"],
  ["an array where a message belongs", "UpdateOperator", { ...acme, operator: [] }, "", "operator"],
  ["an unknown enum value", "UpdateOperator", { ...acme, operator: { kind: "BANK" } }, "", "kind"],
  [
    "a window above its limit",
    "UpdateOperator",
    main({ throughput: { maxSegmentsPerSecond: 1, window: 2000 } }),
    "FIELD_INVALID",
    "connections.main.throughput.window",
  ],
  [
    "a rate of 0",
    "UpdateOperator",
    main({ throughput: { maxSegmentsPerSecond: 0 } }),
    "FIELD_INVALID",
    "connections.main.throughput.max_segments_per_second",
  ],
  [
    "port 0",
    "UpdateOperator",
    main({ endpoints: { a: { host: "h.example", port: 0 } } }),
    "FIELD_INVALID",
    "connections.main.endpoints.a.port",
  ],
  [
    "port 65536",
    "UpdateOperator",
    main({ endpoints: { a: { host: "h.example", port: 65_536 } } }),
    "FIELD_INVALID",
    "connections.main.endpoints.a.port",
  ],
  [
    "an endpoint without a host",
    "UpdateOperator",
    main({ endpoints: { a: { port: 2775 } } }),
    "FIELD_INVALID",
    "connections.main.endpoints.a",
  ],
  [
    "a host with a space",
    "UpdateOperator",
    main({ endpoints: { a: { host: "a b" } } }),
    "FIELD_INVALID",
    "connections.main.endpoints.a.host",
  ],
  [
    "an MNC without its leading zero",
    "UpdateOperator",
    coverage({ mccmnc: "2621" }),
    "FIELD_INVALID",
    "connections.main.coverage[0].mccmnc",
  ],
  ["a network as a number", "UpdateOperator", coverage({ mccmnc: 26201 }), "", "mccmnc"],
  ["coverage of nothing", "UpdateOperator", coverage({ deny: true }), "FIELD_INVALID", "connections.main.coverage[0]"],
  [
    "the same network twice",
    "UpdateOperator",
    main({ coverage: [{ mccmnc: "26201" }, { mccmnc: "26201" }] }),
    "FIELD_INVALID",
    "connections.main.coverage[1]",
  ],
  [
    "2,001 coverage entries",
    "UpdateOperator",
    main({ coverage: Array.from({ length: 2_001 }, (_, n) => ({ prefix: String(10_000 + n) })) }),
    "FIELD_INVALID",
    "connections.main.coverage",
  ],
  [
    "33 labels",
    "UpdateOperator",
    { ...acme, operator: { labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`l${n}`, "x"])) } },
    "FIELD_INVALID",
    "labels",
  ],
  ["a label __proto__", "UpdateOperator", label("__proto__"), "FIELD_INVALID", "labels"],
  ["a label constructor", "UpdateOperator", label("Constructor"), "FIELD_INVALID", "labels"],
  [
    "a connection __proto__",
    "UpdateOperator",
    '{"operatorId":"acme","operator":{"connections":{"__proto__":{}}}}',
    "FIELD_INVALID",
    "connections",
  ],
  [
    "a NUL in a name",
    "UpdateOperator",
    { ...acme, operator: { displayName: "a\u0000b" } },
    "FIELD_INVALID",
    "display_name",
  ],
  [
    "a lone surrogate",
    "UpdateOperator",
    '{"operatorId":"acme","operator":{"displayName":"\\ud800"}}',
    "",
    "display_name",
  ],
  [
    "a name of 121 characters",
    "UpdateOperator",
    { ...acme, operator: { displayName: "x".repeat(121) } },
    "FIELD_INVALID",
    "display_name",
  ],
  ["a reason of 501 characters", "UpdateOperator", { ...acme, reason: "x".repeat(501) }, "FIELD_INVALID", "reason"],
  ["a request id that is no UUID", "UpdateOperator", { ...acme, requestId: "1" }, "FIELD_INVALID", "request_id"],
  ["a mask with an unknown path", "UpdateOperator", masked("nothing"), "FIELD_INVALID", "nothing"],
  ["a mask into a list", "UpdateOperator", masked("contacts.name"), "FIELD_INVALID", "contacts.name"],
  ["a mask with an empty segment", "UpdateOperator", masked("connections..throughput"), "FIELD_INVALID", "update_mask"],
  ["a mask of an output-only field", "UpdateOperator", masked("etag"), "FIELD_IMMUTABLE", "etag"],
  ["a mask through __proto__", "UpdateOperator", masked("connections.__proto__.throughput"), "", "update_mask"],
  ["a changed id", "UpdateOperator", { ...acme, operator: { id: "other" } }, "FIELD_IMMUTABLE", "id"],
  [
    "a system_id that belongs to a credential",
    "UpdateOperator",
    { ...acme, operator: { connections: { live: { systemId: "other" } } } },
    "FIELD_IMMUTABLE",
    "connections.live.system_id",
  ],
  [
    "the removal of an enabled connection",
    "UpdateOperator",
    masked("connections.live"),
    "CONNECTION_NOT_DISABLED",
    "live",
  ],
  ["a stale etag", "UpdateOperator", { ...acme, etag: "0".repeat(32), operator: { notes: "x" } }, "ETAG_MISMATCH", ""],
  ["a stale etag on delete", "DeleteOperator", { ...acme, etag: "0".repeat(32) }, "ETAG_MISMATCH", ""],
  ["deleting an enabled operator", "DeleteOperator", { ...acme, force: true }, "ILLEGAL_STATE_TRANSITION", "DISABLED"],
  [
    "an illegal move",
    "ChangeAdminState",
    { ...acme, target: "ADMIN_STATE_DRAFT" },
    "ILLEGAL_STATE_TRANSITION",
    "possible",
  ],
  ["a move to nowhere", "ChangeAdminState", { ...acme }, "FIELD_INVALID", "target"],
  ["a move to an undefined number", "ChangeAdminState", { ...acme, target: 99 }, "", "target"],
  [
    "a move of an unknown connection",
    "ChangeAdminState",
    { ...acme, connectionId: "none", target: "ADMIN_STATE_ENABLED" },
    "CONNECTION_NOT_FOUND",
    "none",
  ],
  [
    "enabling a connection without anything",
    "ChangeAdminState",
    { ...acme, connectionId: "main", target: "ADMIN_STATE_ENABLED" },
    "FIELD_INVALID",
    "connections.main",
  ],
  [
    "the last route of a network",
    "ChangeAdminState",
    { ...acme, connectionId: "live", target: "ADMIN_STATE_DISABLED" },
    "LAST_ROUTE",
    "26201",
  ],
  [
    "a second credential on a live connection",
    "SetConnectionCredential",
    { ...acme, connectionId: "live", systemId: "a", password: "b" },
    "USE_ROTATE",
    "",
  ],
  [
    "a credential of an unknown connection",
    "SetConnectionCredential",
    { ...acme, connectionId: "none", systemId: "a", password: "b" },
    "CONNECTION_NOT_FOUND",
    "none",
  ],
  [
    "a password with a control character",
    "SetConnectionCredential",
    { ...acme, connectionId: "main", systemId: "a", password: "a\u0007b" },
    "FIELD_INVALID",
    "password",
  ],
  [
    "a password of 101 characters",
    "SetConnectionCredential",
    { ...acme, connectionId: "main", systemId: "a", password: "x".repeat(101) },
    "FIELD_INVALID",
    "password",
  ],
  [
    "a password as a number",
    "SetConnectionCredential",
    { ...acme, connectionId: "main", systemId: "a", password: 12345678 },
    "",
    "password",
  ],
  ["a page size of 1,001", "ListOperators", { pageSize: 1_001 }, "FIELD_INVALID", "page_size"],
  ["a negative page size", "ListOperators", { pageSize: -1 }, "FIELD_INVALID", "page_size"],
  ["a made-up page token", "ListOperators", { pageToken: "bm9uc2Vuc2U" }, "PAGE_TOKEN_INVALID", ""],
  [
    "a made-up page token of revisions",
    "ListOperatorRevisions",
    { ...acme, pageToken: "%%%" },
    "PAGE_TOKEN_INVALID",
    "",
  ],
  ["an unknown sort field", "ListOperators", { orderBy: "colour" }, "FIELD_INVALID", "order_by"],
  ["a filter with an open quote", "ListOperators", { filter: 'id = "a' }, "FILTER_INVALID", ""],
  ["a filter on an unknown field", "ListOperators", { filter: "colour = red" }, "FILTER_INVALID", "colour"],
  ["a filter with a function", "ListOperators", { filter: "now()" }, "FILTER_INVALID", ""],
  ["a filter of only parentheses", "ListOperators", { filter: "(".repeat(500) }, "FILTER_INVALID", ""],
  ["a filter with an unknown enum value", "ListOperators", { filter: "kind = BANK" }, "FILTER_INVALID", "BANK"],
  ["a filter with a NUL", "ListOperators", { filter: 'id = "\u0000"' }, "", "filter"],
  [
    "an undecodable token",
    "GetOperator",
    { ...acme, consistency: { atLeastAsFresh: "???" } },
    "FIELD_INVALID",
    "consistency.at_least_as_fresh",
  ],
  [
    "a revision that never was",
    "GetOperatorRevision",
    { ...acme, revisionId: "999999" },
    "REVISION_NOT_FOUND",
    "999999",
  ],
  [
    "a revision that is no number",
    "GetOperatorRevision",
    { ...acme, revisionId: "latest" },
    "FIELD_INVALID",
    "revision_id",
  ],
  ["broken JSON", "GetOperator", '{"operatorId":', "MALFORMED", ""],
  ["no JSON at all", "GetOperator", "hello", "MALFORMED", ""],
  ["an unknown method", "FireOperator", acme, "METHOD_UNKNOWN", "ops.v1.OperatorAdminService"],
];

describe("a bad call to the whole service", () => {
  let service: TestService;
  let before: string;

  beforeAll(async () => {
    service = await startTestService();
    const live = {
      endpoints: { a: { host: "127.0.0.1" } },
      throughput: { maxSegmentsPerSecond: 10 },
      coverage: [{ kind: { case: "mccmnc" as const, value: "26201" } }],
    };
    await service.admin.createOperator({ operatorId: "acme", operator: { connections: { main: {}, live } } });
    await service.admin.setConnectionCredential({
      operatorId: "acme",
      connectionId: "live",
      systemId: "acme01",
      password: "right-one",
    });
    await service.admin.changeAdminState({ operatorId: "acme", connectionId: "live", target: 3 });
    await service.admin.changeAdminState({ operatorId: "acme", target: 3 });
    before = (await service.admin.listOperators({})).token;
  });
  afterAll(() => service[Symbol.asyncDispose]());

  async function post(method: string, body: object | string): Promise<{ status: number; error: ConnectErrorBody }> {
    const response = await fetch(`${service.url}/v1/admin/operators/ops.v1.OperatorAdminService/${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${service.adminToken}`, "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return { status: response.status, error: (await response.json()) as ConnectErrorBody };
  }

  function expectOneTypedError(error: ConnectErrorBody, reason: string, words: string): void {
    const infos = error.details.filter((detail) => detail.type === "google.rpc.ErrorInfo");
    expect(infos, JSON.stringify(error)).toHaveLength(1);
    expect(infos[0]?.debug).toMatchObject({ domain: "ops.v1" });
    // Without a reason of its own a wrong type is either FIELD_INVALID or MALFORMED, but always with its path.
    if (reason === "") expect(["FIELD_INVALID", "MALFORMED", "FILTER_INVALID"]).toContain(infos[0]?.debug?.reason);
    else expect(infos[0]?.debug?.reason).toBe(reason);
    expect(error.message + JSON.stringify(error.details)).toContain(words);
    expect(error.code).not.toBe("internal");
  }

  it.each(rows)("gets one typed error for %s (%s)", async (_, method, body, reason, words) => {
    const { status, error } = await post(method, body);
    expect(status).toBeGreaterThanOrEqual(400);
    expectOneTypedError(error, reason, words);
  });

  it("gets REQUEST_ID_REUSED for another request under a used id", async () => {
    const requestId = randomUUID();
    await service.admin.updateOperator({ operatorId: "acme", operator: { notes: "once" }, requestId });
    const { error } = await post("UpdateOperator", { ...acme, operator: { notes: "twice" }, requestId });
    expectOneTypedError(error, "REQUEST_ID_REUSED", requestId);
    before = (await service.admin.listOperators({})).token;
  });

  it.each([
    ["another store's", (token: string) => ({ token, store: new Uint8Array(16) }), "TOKEN_FOREIGN"],
    ["a future", (token: string) => ({ token, revision: 10_000n }), "HISTORY_CHANGED"],
    ["a forged", (token: string) => ({ token, fingerprint: new Uint8Array(32) }), "HISTORY_CHANGED"],
  ] as const)("gets %s token refused as %s", async (_, forge, reason) => {
    const { token, ...change } = forge(before);
    const decoded = decodeToken(token);
    if (decoded === undefined) throw new Error("the service sent no token");
    const forged = encodeToken({ ...decoded, ...change });
    const { error } = await post("GetOperator", { ...acme, consistency: { atLeastAsFresh: forged } });
    expectOneTypedError(error, reason, "");
  });

  it.each([
    ["ListOperatorRevisions", "a\nb"],
    ["ListOperatorRevisions", "\ud800"],
    ["ListOperators", "a\nb"],
  ])("gets PAGE_TOKEN_INVALID from %s for a forged page token that holds %j", async (method, planted) => {
    // Whoever reads the source can make one whose checksum and arguments fit.
    const args = method === "ListOperators" ? { pageSize: 1 } : { ...acme, pageSize: 1 };
    await service.admin.createOperator({ operatorId: `page-${randomUUID().slice(0, 8)}` });
    const response = await fetch(`${service.url}/v1/admin/operators/ops.v1.OperatorAdminService/${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${service.adminToken}`, "content-type": "application/json" },
      body: JSON.stringify(args),
    });
    const { nextPageToken } = (await response.json()) as { nextPageToken: string };
    const bytes = Buffer.from(nextPageToken, "base64url");
    const keyAt = bytes.indexOf("[", 12); // after checksum and hash, whose bytes may be any
    const key = JSON.parse(bytes.subarray(keyAt).toString()) as string[];
    const forgedKey = key.map((part) => (decodeToken(part) === undefined ? part : planted));
    const body = Buffer.concat([bytes.subarray(4, keyAt), Buffer.from(JSON.stringify(forgedKey))]);
    const checksum = createHash("sha256").update(body).digest().subarray(0, 4);
    const pageToken = Buffer.concat([checksum, body]).toString("base64url");
    const { error } = await post(method, { ...args, pageToken });
    expectOneTypedError(error, "PAGE_TOKEN_INVALID", "page_token");
    before = (await service.admin.listOperators({})).token;
  });

  it("has changed nothing, logged no bug and no password, and the service still answers", async () => {
    const after = await service.admin.listOperators({});
    expect(after.token).toBe(before);
    expect(await service.admin.verifyHistory({})).toMatchObject({ valid: true });
    const log = service.logLines.join("\n");
    expect(log).not.toMatch(/"reason":"BUG"/);
    expect(log).not.toMatch(/right-one|12345678/);
  });
});
