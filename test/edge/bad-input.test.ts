// Longer than 250 lines because it is one table: a row for each way of calling wrong.
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  CreateOperatorRequestSchema,
  OperatorAdminService,
  SetConnectionCredentialRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  GetOperatorRequestSchema,
  ReportNodeStatusRequestSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  codeOf,
  envelope,
  fieldsOf,
  infosOf,
  request,
  requestGrpc,
  requestH2,
  requestRaw,
  reasonOf,
  textOf,
  type Answer,
} from "./answers.ts";
import { PASSWORD, startEdge, TOKENS, type EdgeServer } from "./edge-server.ts";

const ADMIN = "/v1/admin/operators/ops.v1.OperatorAdminService";
const MESH = "/ops.v1.OperatorService";

let edge: EdgeServer;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(async () => {
  await edge[Symbol.asyncDispose]();
});

type Body = string | Uint8Array<ArrayBuffer> | undefined;
const bearer = { authorization: `Bearer ${TOKENS.admin}` };

/** A Connect-JSON call; `body` goes as it is. */
const post =
  (method: string, body: Body, headers: Record<string, string> = {}) =>
  (): Promise<Answer> =>
    request(`${edge.url}${ADMIN}/${method}`, {
      method: "POST",
      headers: { ...bearer, "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body }),
    });
const json = (method: string, value: unknown) => post(method, JSON.stringify(value));
const create_ = (operator: unknown) => json("CreateOperator", { operatorId: "acme", operator });
const credential = (fields: object) =>
  json("SetConnectionCredential", { operatorId: "acme", connectionId: "main", systemId: "acme1", ...fields });
const http =
  (method: string, path: string, headers: Record<string, string> = {}, body?: Body) =>
  (): Promise<Answer> =>
    request(edge.url + path, { method, headers: { ...bearer, ...headers }, ...(body === undefined ? {} : { body }) });
const get = (path: string) => http("GET", path);
const stream = (body: Body, headers: Record<string, string> = {}) =>
  post("WatchOperators", body, { "content-type": "application/connect+json", ...headers });
const grpc =
  (method: string, body: Uint8Array | undefined, headers: Record<string, string> = {}) =>
  (): Promise<Answer> =>
    requestGrpc(edge.url, `${MESH}/${method}`, body, headers);
const raw = (text: string | Uint8Array) => (): Promise<Answer> => requestRaw(edge.port, text);
/** Without a Content-Length, so that only reading shows how long it is. */
const chunked = (body: string) => (): Promise<Answer> =>
  request(`${edge.url}${ADMIN}/CreateOperator`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: ReadableStream.from([body.slice(0, 1_000), body.slice(1_000)].map((part) => new TextEncoder().encode(part))),
    duplex: "half",
  });
const big = (bytes: number): string => JSON.stringify({ operatorId: "acme", reason: "x".repeat(bytes) });
const valid = toBinary(GetOperatorRequestSchema, create(GetOperatorRequestSchema, { operatorId: "acme" }));
/** A password field of 127 bytes that ends long before that. */
const cut = new TextEncoder().encode(`"\u007f${PASSWORD}`);

interface Row {
  readonly name: string;
  readonly send: () => Promise<Answer>;
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  /** The first violation's path. */
  readonly field?: string;
  /** What the text says, at least. */
  readonly says?: RegExp;
}

const row = (
  name: string,
  send: () => Promise<Answer>,
  [status, code, reason]: readonly [number, string, string],
  more: { field?: string; says?: RegExp } = {},
): Row => ({ name, send, status, code, reason, ...more });

const malformed = [400, "invalid_argument", "MALFORMED"] as const;
const fieldInvalid = [400, "invalid_argument", "FIELD_INVALID"] as const;
const fieldUnknown = [400, "invalid_argument", "FIELD_UNKNOWN"] as const;
const tooLarge = [413, "resource_exhausted", "MESSAGE_TOO_LARGE"] as const;
const mediaType = [415, "invalid_argument", "MEDIA_TYPE"] as const;
const unknownMethod = [404, "unimplemented", "METHOD_UNKNOWN"] as const;
const wrongMethod = [405, "invalid_argument", "HTTP_METHOD"] as const;
const unknownEncoding = [501, "unimplemented", "ENCODING_UNKNOWN"] as const;
const tokenInvalid = [401, "unauthenticated", "TOKEN_INVALID"] as const;
const identityMissing = [401, "unauthenticated", "IDENTITY_MISSING"] as const;
const inGrpc = (code: string, reason: string) => [200, code, reason] as const;

const rows: readonly Row[] = [
  // JSON that is none, or no message
  row("an empty body", post("GetOperator", ""), malformed, { says: /empty/ }),
  row("no body at all", post("GetOperator", undefined), malformed),
  row("half a JSON object", post("GetOperator", `{"operatorId": "${PASSWORD}`), malformed, { says: /not JSON/ }),
  row("a bare word", post("GetOperator", PASSWORD), malformed),
  row("a JSON list", post("GetOperator", `["${PASSWORD}"]`), malformed, { says: /not an object/ }),
  row("a JSON text", post("GetOperator", `"${PASSWORD}"`), malformed),
  row("JSON null", post("GetOperator", "null"), malformed),
  row("XML", post("GetOperator", `<a>${PASSWORD}</a>`), malformed),
  row("bytes that are no UTF-8", post("GetOperator", new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])), malformed, {
    says: /UTF-8/,
  }),
  row("a key twice", post("GetOperator", '{"operatorId":"a1","operatorId":"b1"}'), malformed, { says: /twice/ }),
  row(
    "a field under both of its names",
    json("GetOperator", { operatorId: "acme", operator_id: "acme" }),
    fieldInvalid,
  ),
  row("100,000 open brackets", post("GetOperator", "[".repeat(100_000)), malformed),
  row(
    "100,000 nested lists",
    post("GetOperator", `{"consistency":${"[".repeat(50_000)}${"]".repeat(50_000)}}`),
    fieldInvalid,
  ),

  // fields
  row("an unknown field", json("GetOperator", { operatorId: "acme", pasword: PASSWORD }), fieldUnknown, {
    field: "pasword",
  }),
  row("an unknown field far down", create_({ connections: { main: { throughput: { windw: 3 } } } }), fieldUnknown, {
    field: "operator.connections.main.throughput.windw",
  }),
  row("a misspelt field", json("CreateOperator", { operatorID: "acme" }), fieldUnknown, {
    says: /did you mean operator_id/,
  }),
  row("__proto__ as a field", post("GetOperator", '{"__proto__":{"operatorId":"acme"}}'), fieldUnknown, {
    field: "__proto__",
  }),
  row("a number for a text", json("GetOperator", { operatorId: 7 }), fieldInvalid, {
    field: "operator_id",
    says: /must be text/,
  }),
  row("a text for a number", json("ListOperators", { pageSize: "many" }), fieldInvalid, {
    field: "page_size",
    says: /whole number/,
  }),
  row("a fraction for a whole number", json("ListOperators", { pageSize: 1.5 }), fieldInvalid, { field: "page_size" }),
  row("a text for true", json("ListOperators", { showDeleted: "yes" }), fieldInvalid, { field: "show_deleted" }),
  row("an unknown enum value", create_({ kind: "CARRIER" }), fieldInvalid, {
    field: "operator.kind",
    says: /one of OPERATOR_KIND_/,
  }),
  row("an object for a list", create_({ countries: { a: "DE" } }), fieldInvalid, { field: "operator.countries" }),
  row("a list for a map", create_({ labels: ["a"] }), fieldInvalid, { field: "operator.labels" }),
  row("a text for a message", create_({ connections: { main: PASSWORD } }), fieldInvalid, {
    field: "operator.connections.main",
  }),
  row("a number in a list of texts", create_({ countries: ["DE", 49] }), fieldInvalid, {
    field: "operator.countries[1]",
  }),
  row("a number in a map of texts", create_({ labels: { a: 1 } }), fieldInvalid, { field: "operator.labels.a" }),
  row(
    "a mask in snake_case",
    json("UpdateOperator", { operatorId: "acme", updateMask: "display_name" }),
    fieldInvalid,
    {
      field: "update_mask",
      says: /lowerCamelCase/,
    },
  ),
  row(
    "two of a oneof",
    json("GetOperator", { operatorId: "acme", consistency: { fullyConsistent: true, minimizeLatency: true } }),
    fieldInvalid,
    {
      field: "consistency",
    },
  ),
  row("a password as a number", credential({ password: 987654321 }), fieldInvalid, {
    field: "password",
    says: /^password: must be text/,
  }),
  row("a password as a list", credential({ password: [PASSWORD] }), fieldInvalid, { field: "password" }),
  row("a password with a line break", credential({ password: `${PASSWORD}\n` }), fieldInvalid, { field: "password" }),
  row("a password in the wrong field", credential({ systemId: `${PASSWORD} ${PASSWORD}` }), fieldInvalid, {
    field: "system_id",
  }),
  row("a required field missing", json("GetOperator", {}), fieldInvalid, {
    field: "operator_id",
    says: /operator_id: is required/,
  }),
  row("an id with capitals", json("GetOperator", { operatorId: "Acme" }), fieldInvalid, {
    field: "operator_id",
    says: /pattern/,
  }),
  row("a page that is too large", json("ListOperators", { pageSize: 5000 }), fieldInvalid, {
    field: "page_size",
    says: /page_size: 5000 is above 1000 \(0 to 1000\)/,
  }),
  row("a request id that is no UUID", json("DeleteOperator", { operatorId: "acme", requestId: "1" }), fieldInvalid, {
    field: "request_id",
  }),

  // texts and keys that aren't any
  row("a NUL", json("CreateOperator", { operatorId: "acme", reason: "a\0b" }), fieldInvalid, {
    field: "reason",
    says: /NUL/,
  }),
  row("a NUL far down", create_({ notes: "\0" }), fieldInvalid, { field: "operator.notes" }),
  row("a lone surrogate", post("CreateOperator", '{"operatorId":"acme","reason":"\\ud800"}'), fieldInvalid, {
    field: "reason",
    says: /surrogate/,
  }),
  row(
    "a lone surrogate in a key",
    post("CreateOperator", '{"operatorId":"acme","operator":{"labels":{"\\ud800":"a"}}}'),
    fieldInvalid,
  ),
  row(
    "__proto__ as a label",
    post("CreateOperator", '{"operatorId":"acme","operator":{"labels":{"__proto__":"a"}}}'),
    fieldInvalid,
    {
      field: "operator.labels.__proto__",
      says: /reserved/,
    },
  ),
  row(
    "__proto__ as a connection",
    post("CreateOperator", '{"operatorId":"acme","operator":{"connections":{"__proto__":{}}}}'),
    fieldInvalid,
    {
      field: "operator.connections.__proto__",
    },
  ),
  row("constructor as a label", create_({ labels: { constructor: "a" } }), fieldInvalid, {
    field: "operator.labels.constructor",
  }),
  row(
    "__proto__ as a label in binary",
    post(
      "CreateOperator",
      toBinary(
        CreateOperatorRequestSchema,
        create(CreateOperatorRequestSchema, {
          operatorId: "acme",
          operator: { labels: JSON.parse('{"__proto__":"a"}') as Record<string, string> },
        }),
      ),
      { "content-type": "application/proto" },
    ),
    fieldInvalid,
    { field: "operator.labels.__proto__" },
  ),

  // binary bodies
  row(
    "garbage as protobuf",
    post("GetOperator", new Uint8Array([0xff, 0xff, 0xff]), { "content-type": "application/proto" }),
    malformed,
    {
      says: /no ops\.v1\.GetOperatorRequest/,
    },
  ),
  row(
    "a cut protobuf with a password",
    post("SetConnectionCredential", cut, { "content-type": "application/proto" }),
    malformed,
  ),
  row(
    "a protobuf text that is no UTF-8",
    post("GetOperator", new Uint8Array([0x0a, 0x02, 0xff, 0xfe]), { "content-type": "application/proto" }),
    malformed,
  ),
  row(
    "a protobuf with an invalid password",
    post(
      "SetConnectionCredential",
      toBinary(
        SetConnectionCredentialRequestSchema,
        create(SetConnectionCredentialRequestSchema, {
          operatorId: "acme",
          connectionId: "main",
          systemId: "a",
          password: `${PASSWORD}\t`,
        }),
      ),
      { "content-type": "application/proto" },
    ),
    fieldInvalid,
    { field: "password" },
  ),

  // sizes and compression
  row("a body above the limit", post("CreateOperator", big(5_000_000)), tooLarge, { says: /4194304/ }),
  row("a body above the limit, of unknown length", chunked(big(5_000_000)), tooLarge, { says: /4194304/ }),
  row(
    "a compression bomb",
    post("CreateOperator", gzipSync(big(50_000_000)), { "content-encoding": "gzip" }),
    tooLarge,
    { says: /decompress/ },
  ),
  row("gzip that is none", post("GetOperator", PASSWORD, { "content-encoding": "gzip" }), malformed, { says: /gzip/ }),
  row(
    "gzip that is cut",
    post("GetOperator", gzipSync('{"operatorId":"acme"}').subarray(0, 20), { "content-encoding": "gzip" }),
    malformed,
  ),
  row("an unknown compression", post("GetOperator", "{}", { "content-encoding": "zstd" }), unknownEncoding, {
    says: /gzip/,
  }),
  row("headers above the limit (HTTP/1)", raw(`GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`), [
    431,
    "resource_exhausted",
    "MESSAGE_TOO_LARGE",
  ]),

  // HTTP
  row(
    "PUT to a method",
    http("PUT", `${ADMIN}/GetOperator`, { "content-type": "application/json" }, "{}"),
    wrongMethod,
    { says: /POST or GET/ },
  ),
  row(
    "GET of a method that changes something",
    get(`${ADMIN}/CreateOperator?encoding=json&message=%7B%7D`),
    wrongMethod,
  ),
  row("DELETE of an alias", http("DELETE", "/v1/admin/operators/acme"), wrongMethod, { says: /DeleteOperator/ }),
  row(
    "POST to the list alias",
    http("POST", "/v1/admin/operators", { "content-type": "application/json" }, "{}"),
    wrongMethod,
    { says: /CreateOperator/ },
  ),
  row("an unheard-of HTTP method on a method", http("PROPFIND", `${ADMIN}/GetOperator`), wrongMethod),
  row("no content type", http("POST", `${ADMIN}/CreateOperator`, {}, new Uint8Array([1])), mediaType),
  row("text/plain", post("GetOperator", PASSWORD, { "content-type": "text/plain" }), mediaType, {
    says: /application\/json/,
  }),
  row(
    "a form",
    post("GetOperator", "operatorId=acme", { "content-type": "application/x-www-form-urlencoded" }),
    mediaType,
  ),
  row("a broken content type", post("GetOperator", "{}", { "content-type": ";;;" }), mediaType),
  row("gRPC-Web", post("GetOperator", "{}", { "content-type": "application/grpc-web+proto" }), mediaType),
  row("a stream called like a unary method", post("WatchOperators", "{}"), mediaType, { says: /connect\+json/ }),
  row("a misspelt method", post("GetOperater", "{}"), unknownMethod, { says: /GetOperator/ }),
  row(
    "the right method at the wrong service",
    http("POST", "/v1/admin/operators/OperatorService/getoperator"),
    unknownMethod,
    {
      says: /\/v1\/admin\/operators\/ops\.v1\.OperatorAdminService\/GetOperator$/,
    },
  ),
  row("a path below an alias", get("/v1/admin/operators/acme/revisions"), unknownMethod),
  row("an encoded slash", get("/v1/admin/operators/..%2f..%2fops.v1.OperatorService/GetOperator"), malformed, {
    says: /encoded slash/,
  }),
  row("an encoded backslash", get("/v1/admin/operators/a%5cb"), malformed),
  row(
    "dot segments",
    raw(
      "GET /v1/admin/operators/../../ops.v1.OperatorService/GetOperator HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ),
    malformed,
    { says: /dot segment/ },
  ),
  row(
    "encoded dot segments",
    raw("GET /v1/admin/operators/%2E%2e/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    malformed,
  ),
  row("an empty segment", get("/v1/admin/operators//acme"), malformed),
  row("a broken escape", get("/v1/admin/operators/%zz"), malformed),
  row("an escape that is no UTF-8, where an operator's id belongs", get("/v1/admin/operators/%ff"), malformed),
  row("an escape that is no UTF-8 at the root", get("/ops.v1.OperatorService/%ff"), malformed),
  row(
    "a URL of another host",
    raw("GET http://evil/v1/admin/operators HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    malformed,
  ),
  row("no Host header", raw("GET /v1/admin/operators HTTP/1.1\r\nconnection: close\r\n\r\n"), malformed, {
    says: /Host/,
  }),
  row(
    "a Host header that is none",
    raw("GET /v1/admin/operators HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n"),
    malformed,
  ),
  row("CONNECT", raw("CONNECT example.org:443 HTTP/1.1\r\nhost: a\r\n\r\n"), malformed),
  row(
    "CONNECT over HTTP/2",
    () => requestH2(edge.url, { ":method": "CONNECT", ":authority": "a" }, undefined),
    identityMissing,
  ),
  row(
    "an upgrade to HTTP/2",
    raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n"),
    identityMissing,
  ),
  row(
    "an expectation",
    raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: miracles\r\n\r\n"),
    identityMissing,
  ),
  row("OPTIONS of everything", raw("OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), malformed),
  row("no HTTP", raw("EHLO mail.example.org\r\n\r\n"), malformed, { says: /HTTP/ }),
  row(
    "both lengths of a smuggler",
    raw(
      "POST /v1/admin/operators HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    malformed,
  ),
  row(
    "a length that is none",
    raw("POST /v1/admin/operators HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n"),
    malformed,
  ),

  // timeouts
  row("a timeout that is none", post("GetOperator", "{}", { "connect-timeout-ms": "soon" }), malformed, {
    says: /connect-timeout-ms/,
  }),
  row("a timeout that is too long", post("GetOperator", "{}", { "connect-timeout-ms": "600000" }), fieldInvalid, {
    says: /60000/,
  }),

  // GET
  row("a GET without encoding", get(`${ADMIN}/GetOperator?message=%7B%7D`), mediaType, { says: /encoding/ }),
  row("a GET without message", get(`${ADMIN}/GetOperator?encoding=json`), malformed),
  row("a GET with broken base64", get(`${ADMIN}/GetOperator?encoding=json&base64=1&message=%21`), malformed, {
    says: /base64/,
  }),
  row(
    "a GET with an unknown compression",
    get(`${ADMIN}/GetOperator?encoding=json&message=%7B%7D&compression=lzma`),
    unknownEncoding,
  ),
  row("an alias with an unknown parameter", get("/v1/admin/operators?pagesize=3"), fieldUnknown, { field: "pagesize" }),
  row("an alias with a bad number", get("/v1/admin/operators?page_size=x"), fieldInvalid, { field: "page_size" }),
  row("an alias with a parameter twice", get("/v1/admin/operators?filter=a&filter=b"), fieldInvalid, {
    field: "filter",
  }),
  row("an alias with the id twice", get("/v1/admin/operators/acme?operator_id=other"), fieldInvalid),
  row("an alias with __proto__", get("/v1/admin/operators?__proto__=x"), fieldUnknown),
  row("an alias with a bad id", get("/v1/admin/operators/ACME"), fieldInvalid, { field: "operator_id" }),

  // Connect streams
  row("a stream with garbage", stream(PASSWORD), inGrpc("resource_exhausted", "MESSAGE_TOO_LARGE")),
  row("a stream with a cut message", stream(envelope("{}").slice(0, 6)), inGrpc("invalid_argument", "MALFORMED")),
  row("a stream without a message", stream(new Uint8Array(0)), inGrpc("invalid_argument", "MALFORMED"), {
    says: /exactly one/,
  }),
  row(
    "a stream with two messages",
    stream(new Uint8Array([...envelope("{}"), ...envelope("{}")])),
    inGrpc("invalid_argument", "MALFORMED"),
  ),
  row(
    "a stream with an unknown field",
    stream(envelope(`{"a":"${PASSWORD}"}`) as Uint8Array<ArrayBuffer>),
    inGrpc("invalid_argument", "FIELD_UNKNOWN"),
    { field: "a" },
  ),
  row(
    "a stream with rules broken",
    stream(envelope('{"bookmarkInterval":"90s"}') as Uint8Array<ArrayBuffer>),
    inGrpc("invalid_argument", "FIELD_INVALID"),
    { field: "bookmark_interval" },
  ),
  row(
    "a stream of an unknown compression",
    stream(envelope("{}") as Uint8Array<ArrayBuffer>, { "connect-content-encoding": "zstd" }),
    inGrpc("unimplemented", "ENCODING_UNKNOWN"),
  ),
  row(
    "a unary method called like a stream",
    post("GetOperator", envelope("{}") as Uint8Array<ArrayBuffer>, { "content-type": "application/connect+json" }),
    inGrpc("invalid_argument", "MEDIA_TYPE"),
  ),
  row(
    "a stream at no method",
    http("POST", `${ADMIN}/Watch`, { "content-type": "application/connect+json" }, "x"),
    inGrpc("unimplemented", "METHOD_UNKNOWN"),
  ),

  // gRPC
  row(
    "gRPC with garbage in the envelope",
    grpc("GetOperator", envelope(new Uint8Array([0xff, 0xff]))),
    inGrpc("invalid_argument", "MALFORMED"),
  ),
  row(
    "gRPC with garbage",
    grpc("GetOperator", new TextEncoder().encode(PASSWORD)),
    inGrpc("resource_exhausted", "MESSAGE_TOO_LARGE"),
  ),
  row(
    "gRPC cut in the envelope",
    grpc("GetOperator", envelope(valid).subarray(0, 7)),
    inGrpc("invalid_argument", "MALFORMED"),
  ),
  row("gRPC without a message", grpc("GetOperator", undefined), inGrpc("unimplemented", "MALFORMED"), {
    says: /exactly one/,
  }),
  row(
    "gRPC with two messages",
    grpc("GetOperator", new Uint8Array([...envelope(valid), ...envelope(valid)])),
    inGrpc("unimplemented", "MALFORMED"),
  ),
  row(
    "gRPC flagged as compressed, without the header",
    grpc("GetOperator", envelope(gzipSync(valid), 1)),
    inGrpc("internal", "MALFORMED"),
  ),
  row(
    "gRPC with broken gzip",
    grpc("GetOperator", envelope(valid, 1), { "grpc-encoding": "gzip" }),
    inGrpc("invalid_argument", "MALFORMED"),
  ),
  row(
    "gRPC of an unknown compression",
    grpc("GetOperator", envelope(valid), { "grpc-encoding": "snappy" }),
    inGrpc("unimplemented", "ENCODING_UNKNOWN"),
  ),
  row(
    "gRPC above the limit",
    grpc("ReportNodeStatus", envelope(new Uint8Array(5_000_000))),
    inGrpc("resource_exhausted", "MESSAGE_TOO_LARGE"),
  ),
  row(
    "a bomb in gRPC",
    grpc("ReportNodeStatus", envelope(gzipSync(new Uint8Array(50_000_000)), 1), { "grpc-encoding": "gzip" }),
    inGrpc("resource_exhausted", "MESSAGE_TOO_LARGE"),
  ),
  row(
    "gRPC with rules broken",
    grpc("GetOperator", envelope(new Uint8Array(0))),
    inGrpc("invalid_argument", "FIELD_INVALID"),
    { field: "operator_id" },
  ),
  row(
    "gRPC with __proto__ as a label",
    grpc(
      "ReportNodeStatus",
      envelope(
        toBinary(
          ReportNodeStatusRequestSchema,
          create(ReportNodeStatusRequestSchema, {
            node: "n1",
            epoch: 1n,
            labels: JSON.parse('{"__proto__":"a"}') as Record<string, string>,
          }),
        ),
      ),
    ),
    inGrpc("invalid_argument", "FIELD_INVALID"),
    { field: "labels.__proto__" },
  ),
  row(
    "gRPC with a NUL",
    grpc("GetOperator", envelope(new Uint8Array([0x0a, 0x02, 0x61, 0x00]))),
    inGrpc("invalid_argument", "FIELD_INVALID"),
  ),
  row(
    "gRPC with a bad timeout",
    grpc("GetOperator", envelope(valid), { "grpc-timeout": "5 apples" }),
    inGrpc("invalid_argument", "MALFORMED"),
  ),
  row(
    "gRPC with a timeout that is too long",
    grpc("GetOperator", envelope(valid), { "grpc-timeout": "9H" }),
    inGrpc("invalid_argument", "FIELD_INVALID"),
  ),
  row("gRPC at no method", grpc("GetOperater", envelope(valid)), inGrpc("unimplemented", "METHOD_UNKNOWN")),
  row(
    "gRPC of the admin service",
    () => requestGrpc(edge.url, "/ops.v1.OperatorAdminService/GetOperator", envelope(valid)),
    inGrpc("unimplemented", "METHOD_UNKNOWN"),
  ),
  row(
    "gRPC with JSON in it",
    grpc("GetOperator", envelope("{}"), { "content-type": "application/grpc+json" }),
    inGrpc("invalid_argument", "MEDIA_TYPE"),
  ),
  row(
    "gRPC with thrift in it",
    grpc("GetOperator", envelope("{}"), { "content-type": "application/grpc+thrift" }),
    inGrpc("invalid_argument", "MEDIA_TYPE"),
  ),
  row(
    "gRPC by GET",
    () => requestGrpc(edge.url, `${MESH}/GetOperator`, undefined, { ":method": "GET" }),
    inGrpc("invalid_argument", "HTTP_METHOD"),
  ),
  row(
    "gRPC below the admins' prefix",
    () => requestGrpc(edge.url, `${ADMIN}/GetOperator`, envelope(valid), bearer),
    inGrpc("invalid_argument", "MEDIA_TYPE"),
  ),
  row(
    "health of an unknown service",
    () => requestGrpc(edge.url, "/grpc.health.v1.Health/Check", envelope(new Uint8Array([0x0a, 0x01, 0x61]))),
    inGrpc("not_found", "METHOD_UNKNOWN"),
  ),

  // strangers
  row("no token", () => request(`${edge.url}${ADMIN}/GetOperator`, { method: "POST", body: "{" }), [
    401,
    "unauthenticated",
    "TOKEN_MISSING",
  ]),
  row("a wrong token", post("GetOperator", "{", { authorization: `Bearer ${PASSWORD}` }), tokenInvalid),
  row("a token of another scheme", post("GetOperator", "{", { authorization: `Basic ${PASSWORD}` }), tokenInvalid),
  row("a stranger at no method", post("Nothing", "{", { authorization: "Bearer x" }), tokenInvalid),
  row("a stranger's stream", stream("x", { authorization: "Bearer x" }), inGrpc("unauthenticated", "TOKEN_INVALID")),
  row(
    "Connect at the root",
    http("POST", `${MESH}/GetOperator`, { "content-type": "application/json" }, "{}"),
    identityMissing,
  ),
  row("a path at the root", get("/favicon.ico"), identityMissing),
  row("a path beside the prefix", get("/v1/admin/operatorsX"), identityMissing),
  row(
    "gRPC by another host name",
    () =>
      requestH2(
        edge.url,
        {
          ":method": "POST",
          ":path": `${MESH}/GetOperator`,
          ":authority": "evil.example:3020",
          "content-type": "application/grpc",
        },
        envelope(valid),
      ),
    inGrpc("unauthenticated", "IDENTITY_MISSING"),
  ),
  row(
    "gRPC by another host name, forged as local",
    () =>
      requestH2(
        edge.url,
        {
          ":method": "POST",
          ":path": `${MESH}/GetOperator`,
          ":authority": "evil.example",
          "x-forwarded-host": "localhost",
          "x-forwarded-for": "127.0.0.1",
          forwarded: "host=localhost",
          "content-type": "application/grpc",
        },
        envelope(valid),
      ),
    inGrpc("unauthenticated", "IDENTITY_MISSING"),
  ),
  row(
    "a viewer who deletes",
    post("DeleteOperator", "{", { authorization: `Bearer ${TOKENS.viewer}` }),
    [403, "permission_denied", "ROLE_MISSING"],
    { says: /role admin/ },
  ),
];

describe("one typed error for every bad request", () => {
  test("the table covers the methods' ways to be called wrong", () => {
    expect(rows.length).toBeGreaterThan(100);
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  test.each(rows)("$name: $code $reason", async ({ send, status, code, reason, field, says }) => {
    edge.handled.length = 0;
    const logged = edge.log.length;
    const answer = await send();
    expect({ status: answer.status, code: codeOf(answer), reason: reasonOf(answer) }).toEqual({ status, code, reason });
    expect(infosOf(answer).map((info) => info.domain)).toEqual(["ops.v1"]);
    if (field !== undefined) expect(fieldsOf(answer)[0]).toBe(field);
    if (says !== undefined) expect(answer.error?.rawMessage).toMatch(says);
    expect(textOf(answer)).not.toContain(PASSWORD);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(edge.handled).toEqual([]);
    expect(await alive()).toBe(true);
    const lines = edge.log.slice(logged).join("\n");
    expect(lines).not.toContain(PASSWORD);
    expect(lines).not.toContain('"level":50');
  });
});

async function alive(): Promise<boolean> {
  const answer = await request(`${edge.url}${ADMIN}/${OperatorAdminService.method.listOperators.name}`, {
    method: "POST",
    headers: { ...bearer, "content-type": "application/json" },
    body: "{}",
  });
  return answer.status === 200;
}
