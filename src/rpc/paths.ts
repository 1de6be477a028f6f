import { ScalarType, type DescMethod, type JsonValue } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { opsError } from "./errors.ts";
import { wrongHttpMethod } from "./protocol-errors.ts";

/** Where the gateway's route ends: admins' calls are below it, the mesh's at the root. */
export const ADMIN_PREFIX = "/v1/admin/operators";

/** The two sides of the port. */
export type Side = "admin" | "mesh";

/** A URL's path, without its query. */
export function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  return end === -1 ? url : url.slice(0, end);
}

/** Which side a path belongs to; `/v1/admin/operatorsX` is not below the prefix. */
export function sideOf(path: string): Side {
  return path === ADMIN_PREFIX || path.startsWith(`${ADMIN_PREFIX}/`) ? "admin" : "mesh";
}

/**
 * What makes a path refused before anything looks at it: whatever a proxy on the way may read as another path than we do. A mesh
 * policy that allows one path must not be talked into another (`/v1/admin/operators/..%2f..%2fops.v1.OperatorService/…`).
 */
export function pathProblem(url: string): string | undefined {
  const path = pathOf(url);
  if (!path.startsWith("/")) return "is not an absolute path";
  if (/%2f|%5c|\\/i.test(path)) return "has an encoded slash or a backslash";
  if (path.includes("//")) return "has an empty segment";
  if (/(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i.test(path)) return "has a dot segment";
  if (/%00/.test(path) || !isDecodable(path)) return "has a broken escape";
  return undefined;
}

/** Not so for `%zz`, and not for `%ff`, which is no UTF-8. */
function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false; // the answer is all that is asked for
  }
}

/** MALFORMED for such a path. */
export function pathRefused(problem: string): ConnectError {
  return opsError(ErrorReason.MALFORMED, `the path ${problem}`, { metadata: { problem } });
}

/** The URL path of an admin method. */
export function adminMethodPath(method: DescMethod): string {
  return `${ADMIN_PREFIX}/${method.parent.typeName}/${method.name}`;
}

/**
 * The two read aliases: `GET /v1/admin/operators?filter=…` is ListOperators, `GET /v1/admin/operators/{id}` is GetOperator. The result
 * is the URL of the method's own GET form, so that an alias goes through everything that the method goes through.
 */
export function aliasTarget(httpMethod: string | undefined, url: string): string | undefined {
  if (httpMethod !== "GET") return undefined;
  const path = pathOf(url);
  const query = new URLSearchParams(url.slice(path.length));
  if (path === ADMIN_PREFIX) return getUrl(OperatorAdminService.method.listOperators, query);
  const id = path.startsWith(`${ADMIN_PREFIX}/`) ? path.slice(ADMIN_PREFIX.length + 1) : "";
  if (id === "" || /[/.]/.test(id)) return undefined;
  return getUrl(OperatorAdminService.method.getOperator, query, [["operator_id", decodeURIComponent(id)]]);
}

function getUrl(method: DescMethod, query: URLSearchParams, fields: [string, JsonValue][] = []): string {
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name).map((value) => asJson(method, name, value));
    // A field that the path gives too is then there under both of its names, which the codec refuses.
    const key = fields.some(([taken]) => taken === name) ? (fieldOf(method, name)?.jsonName ?? name) : name;
    fields.push([key, values.length === 1 && values[0] !== undefined ? values[0] : values]);
  }
  const message = encodeURIComponent(JSON.stringify(Object.fromEntries(fields)).toWellFormed());
  return `${adminMethodPath(method)}?connect=v1&encoding=json&message=${message}`;
}

function asJson(method: DescMethod, name: string, value: string): JsonValue {
  const isBoolean = fieldOf(method, name)?.scalar === ScalarType.BOOL;
  return isBoolean && (value === "true" || value === "false") ? value === "true" : value;
}

function fieldOf(method: DescMethod, name: string): DescMethod["input"]["fields"][number] | undefined {
  return method.input.fields.find((field) => field.name === name || field.jsonName === name);
}

/** METHOD_UNKNOWN or HTTP_METHOD for a path that leads nowhere, with the way to what was probably meant. */
export function noSuchPath(side: Side, httpMethod: string, path: string, methods: readonly DescMethod[]): ConnectError {
  if (side === "mesh") {
    const names = methods.map((method) => `/${method.parent.typeName}/${method.name}`);
    if (names.includes(path)) return wrongHttpMethod("gRPC methods are called by", ["POST"]);
    return opsError(ErrorReason.METHOD_UNKNOWN, "no such method here; reflection lists what there is", {
      metadata: { path },
    });
  }
  const rest = path.slice(ADMIN_PREFIX.length + 1);
  const known = methods.find((method) => adminMethodPath(method) === path);
  if (known !== undefined) return wrongHttpMethod(`${known.name} is called by`, httpMethodsOf(known));
  if (!/[/.]/.test(rest) && httpMethod !== "GET") return aliasIsForReading(httpMethod, rest);
  const name = rest.split("/").at(-1) ?? "";
  const meant = methods.find((method) => method.name.toLowerCase() === name.toLowerCase());
  const pattern = `${ADMIN_PREFIX}/${OperatorAdminService.typeName}/`;
  const advice =
    meant === undefined
      ? `methods are at ${pattern}: ${methods.map((method) => method.name).join(", ")}`
      : `call ${adminMethodPath(meant)}`;
  return opsError(ErrorReason.METHOD_UNKNOWN, `nothing at this path; ${advice}`, {
    metadata: { path, ...(meant === undefined ? {} : { method_path: adminMethodPath(meant) }) },
  });
}

function httpMethodsOf(method: DescMethod): string[] {
  return method.methodKind === "unary" && method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
    ? ["POST", "GET"]
    : ["POST"];
}

/** REST habits: what POST, PATCH and DELETE of an alias would mean elsewhere has a method here. */
function aliasIsForReading(httpMethod: string, id: string): ConnectError {
  const { createOperator, updateOperator, deleteOperator } = OperatorAdminService.method;
  const writes: Readonly<Record<string, DescMethod>> =
    id === "" ? { POST: createOperator } : { PATCH: updateOperator, PUT: updateOperator, DELETE: deleteOperator };
  const write = Object.hasOwn(writes, httpMethod) ? writes[httpMethod] : undefined;
  const advice = write === undefined ? "" : ` (to change something, POST to ${adminMethodPath(write)})`;
  return wrongHttpMethod(`this path is for reading${advice}; it is called by`, ["GET"]);
}
